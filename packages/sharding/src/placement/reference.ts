/**
 * The plain reference: every tiling, every assignment, a textbook maximum flow. For tiny instances in tests; it shares no
 * code with the solvers but the input types.
 */
import type { Link, Links, NodeProfile } from './mesh.ts';
import { missingWeightBytes, stageMemoryBytes } from './profile.ts';
import type { LayerRange, ModelProfile } from './profile.ts';
import type { Shape } from './shape.ts';

export interface ReferenceStage extends LayerRange {
  /** Indices of nodes. */
  readonly members: readonly number[];
}

/** Whether a node can hold and run a range. */
export function canHold(profile: ModelProfile, node: NodeProfile, range: LayerRange): boolean {
  const lacks = new Set(node.lacksOps);
  const runs = profile.layers.slice(range.start, range.end).every((layer) => !layer.ops?.some((op) => lacks.has(op)));
  return runs && stageMemoryBytes(profile, range) <= node.memoryBytes;
}

/** Rows/ms of a placement: Edmonds and Karp on a capacity matrix. */
export function referenceThroughput(
  profile: ModelProfile,
  nodes: readonly NodeProfile[],
  links: Links,
  stages: readonly ReferenceStage[],
): number {
  const between = (i: number, j: number): Link => links.between?.(nodes[i]!.id, nodes[j]!.id) ?? links.default;
  const client = (i: number): Link => links.client?.(nodes[i]!.id) ?? links.default;
  const fastest = (i: number, toward: 'in' | 'out'): number =>
    Math.max(
      ...nodes.flatMap((_, j) =>
        i === j ? [] : [toward === 'in' ? between(j, i).bytesPerMs : between(i, j).bytesPerMs],
      ),
    );
  const perRow = (bytesPerMs: number, bytes: number): number =>
    bytes === 0 ? 1e12 : Math.min(1e12, bytesPerMs / bytes);
  const last = profile.layers.length;
  // Vertices: 0 the source, 1 the sink, then an entry and an exit for each node.
  const size = 2 + 2 * nodes.length;
  const capacity = Array.from({ length: size }, () => new Float64Array(size));
  stages.forEach((stage, k) => {
    const cost = profile.layers.slice(stage.start, stage.end).reduce((sum, layer) => sum + layer.computeMs, 0);
    for (const i of stage.members) {
      const into = stage.start === 0 ? client(i).bytesPerMs : fastest(i, 'in');
      const out = stage.end === last ? client(i).bytesPerMs : fastest(i, 'out');
      capacity[2 + 2 * i]![3 + 2 * i] = Math.min(
        cost === 0 ? 1e12 : nodes[i]!.speed / cost,
        perRow(into, profile.bytesAtCut[stage.start]!),
        perRow(out, profile.bytesAtCut[stage.end]!),
      );
      if (k === 0) capacity[0]![2 + 2 * i] = 1e12;
      if (k === stages.length - 1) capacity[3 + 2 * i]![1] = 1e12;
      for (const j of stages[k + 1]?.members ?? []) {
        capacity[3 + 2 * i]![2 + 2 * j] = perRow(between(i, j).bytesPerMs, profile.bytesAtCut[stage.end]!);
      }
    }
  });
  let flow = 0;
  for (;;) {
    const previous = new Int32Array(size).fill(-1);
    const queue = [0];
    previous[0] = 0;
    for (const vertex of queue) {
      for (let to = 0; to < size; to++) {
        if (previous[to]! >= 0 || capacity[vertex]![to]! <= 1e-12) continue;
        previous[to] = vertex;
        queue.push(to);
      }
    }
    if (previous[1]! < 0) return flow;
    let pushed = Infinity;
    for (let at = 1; at !== 0; at = previous[at]!) pushed = Math.min(pushed, capacity[previous[at]!]![at]!);
    for (let at = 1; at !== 0; at = previous[at]!) {
      capacity[previous[at]!]![at]! -= pushed;
      capacity[at]![previous[at]!]! += pushed;
    }
    flow += pushed;
  }
}

/** Every placement that the shape, memory and ops allow. */
export function* everyPlacement(
  profile: ModelProfile,
  nodes: readonly NodeProfile[],
  shape: Shape,
): Generator<readonly ReferenceStage[]> {
  const inner = profile.legal.flatMap((legal, k) => (legal && k > 0 && k < profile.layers.length ? [k] : []));
  for (let chosen = 0; chosen < 1 << inner.length; chosen++) {
    const cuts = [0, ...inner.filter((_, k) => (chosen & (1 << k)) !== 0), profile.layers.length];
    const count = cuts.length - 1;
    if (count < shape.stagesMin || count > shape.stagesMax || count > nodes.length) continue;
    const ranges = cuts.slice(1).map((end, k) => ({ start: cuts[k]!, end }));
    const fits = nodes.map((node) => ranges.map((range) => canHold(profile, node, range)));
    for (let code = 0; code < (count + 1) ** nodes.length; code++) {
      const members: number[][] = ranges.map(() => []);
      let allowed = true;
      for (let i = 0, rest = code; i < nodes.length && allowed; i++, rest = Math.floor(rest / (count + 1))) {
        const stage = (rest % (count + 1)) - 1;
        if (stage < 0) continue;
        allowed = fits[i]![stage]!;
        members[stage]!.push(i);
      }
      if (!allowed || members.some((group) => group.length === 0 || group.length > shape.replicasMax)) continue;
      yield ranges.map((range, k) => ({ ...range, members: members[k]! }));
    }
  }
}

/** The most rows/ms that any placement passes; 0 where there is none. */
export function referenceOptimum(
  profile: ModelProfile,
  nodes: readonly NodeProfile[],
  links: Links,
  shape: Shape,
): number {
  let best = 0;
  for (const stages of everyPlacement(profile, nodes, shape)) {
    best = Math.max(best, referenceThroughput(profile, nodes, links, stages));
  }
  return best;
}

/** The fewest weight bytes that must be downloaded for any placement that passes `rate` rows/ms; Infinity where none does. */
export function referenceLeastBytes(
  profile: ModelProfile,
  nodes: readonly NodeProfile[],
  links: Links,
  shape: Shape,
  held: ReadonlyMap<string, LayerRange>,
  rate: number,
): number {
  let least = Infinity;
  for (const stages of everyPlacement(profile, nodes, shape)) {
    let bytes = 0;
    for (const stage of stages) {
      for (const i of stage.members) bytes += missingWeightBytes(profile, stage, held.get(nodes[i]!.id));
    }
    if (bytes < least && referenceThroughput(profile, nodes, links, stages) >= rate) least = bytes;
  }
  return least;
}
