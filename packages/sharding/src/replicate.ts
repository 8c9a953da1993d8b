/**
 * Placement in its simplest right form: one stage, as many replicas as memory allows. Models that a node holds
 * already come first, so that nothing moves without need; then the order given, which is the operator's.
 */

export interface ModelDemand {
  readonly key: string;
  /** What one replica takes on a node, in bytes. */
  readonly memoryBytes: number;
}

export interface NodeSupply {
  readonly memoryBytesMax: number;
  /** Keys of what it holds or is fetching. */
  readonly holds: ReadonlySet<string>;
  /** Keys of what it has failed to load or prove. */
  readonly refuses: ReadonlySet<string>;
}

/** The keys of the models that a node should hold, within its memory. */
export function replicate(models: readonly ModelDemand[], node: NodeSupply): Set<string> {
  const chosen = new Set<string>();
  let freeBytes = node.memoryBytesMax;
  const held = models.filter((model) => node.holds.has(model.key));
  const others = models.filter((model) => !node.holds.has(model.key) && !node.refuses.has(model.key));
  for (const model of [...held, ...others]) {
    if (model.memoryBytes > freeBytes) continue;
    chosen.add(model.key);
    freeBytes -= model.memoryBytes;
  }
  return chosen;
}
