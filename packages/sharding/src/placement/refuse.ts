/** Why a model cannot be placed, and what would cure it, in words for people. */
import type { ReasonCode } from '@shoal/protocol';
import { fitOf } from './gap.ts';
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { stageMemoryBytes } from './profile.ts';
import type { LayerRange, ModelProfile } from './profile.ts';
import type { Shape } from './shape.ts';

export interface Refusal {
  readonly code: Extract<ReasonCode, 'BAD_INPUT' | 'MEMORY_LIMIT' | 'NO_CAPACITY'>;
  readonly reason: string;
  /** What would make it possible. */
  readonly cure: string;
  /** What one more node would have to hold, where that is what is missing. */
  readonly missing?: { readonly layers: LayerRange; readonly memoryBytes: number; readonly ops: readonly string[] };
}

/** What stands in the way of a placement of this shape. Call it when none was found. */
export function refusalOf(problem: Problem, shape: Shape): Refusal {
  const { nodeCount, cutCount, profile } = problem;
  if (shape.stagesMin > cutCount) {
    return {
      code: 'BAD_INPUT',
      reason: `stages must be at most ${cutCount}, got ${shape.stagesMin}: the model has ${cutCount - 1} legal cuts`,
      cure: `ask for at most ${cutCount} stages`,
    };
  }
  const apart = shape.stagesMax === 1 ? wholeModelGap(problem) : (unheldSegment(problem) ?? coverGap(problem, shape));
  if (apart !== undefined) return missingNode(problem, apart);
  const short = shape.stagesMin - nodeCount;
  if (short > 0) {
    return {
      code: 'NO_CAPACITY',
      reason: `${shape.stagesMin} stages need ${shape.stagesMin} nodes, ${nodeCount} are here`,
      cure: `${nodes(short)} more, or fewer stages`,
    };
  }
  return {
    code: 'NO_CAPACITY',
    reason: `no placement of ${profile.name} with the stages and replicas asked for was found`,
    cure: 'let mode, stages or replicas be chosen, or join nodes with more memory',
  };
}

function wholeModelGap(problem: Problem): LayerRange | undefined {
  for (let i = 0; i < problem.nodeCount; i++) if (reachFrom(problem, i, 0) === problem.cutCount) return undefined;
  return { start: 0, end: problem.profile.layers.length };
}

/** The first layers between neighbouring legal cuts that no node holds: no number of stages helps with these. */
function unheldSegment(problem: Problem): LayerRange | undefined {
  for (let k = 0; k < problem.cutCount; k++) {
    let held = false;
    for (let i = 0; i < problem.nodeCount && !held; i++) held = reachFrom(problem, i, k) > k;
    if (!held && problem.nodeCount > 0) return { start: problem.cuts[k]!, end: problem.cuts[k + 1]! };
  }
  return undefined;
}

function coverGap(problem: Problem, shape: Shape): LayerRange | undefined {
  const fit = fitOf(problem, shape.stagesMax);
  return 'gap' in fit ? fit.gap : undefined;
}

function missingNode(problem: Problem, layers: LayerRange): Refusal {
  const { profile } = problem;
  const memoryBytes = stageMemoryBytes(profile, layers);
  const ops = opsOf(profile, layers);
  const missing = { layers, memoryBytes, ops };
  const lacking = ops.filter((op) => problem.nodes.every((node) => node.lacksOps?.includes(op) === true));
  const ofSize = `1 ${problem.nodeCount === 0 ? '' : 'more '}node with ≥ ${megabytes(memoryBytes)}`;
  if (problem.nodeCount > 0 && lacking.length > 0) {
    const layer = profile.layers.findIndex((_, i) => i >= layers.start && hasAny(profile, i, lacking));
    const op = profile.layers[layer]!.ops!.find((name) => lacking.includes(name))!;
    return {
      code: 'NO_CAPACITY',
      reason: `op ${op} in layer ${layer} is supported by no node`,
      cure: `${ofSize} whose backend has ${lacking.join(', ')}`,
      missing,
    };
  }
  const special = ops.filter((op) => problem.nodes.some((node) => node.lacksOps?.includes(op) === true));
  const backend = special.length === 0 ? '' : ` whose backend has ${special.join(', ')}`;
  const verb = layers.end - layers.start === 1 ? 'needs' : 'need';
  const need = `${named(layers)} ${verb} ${ofSize}${backend}`;
  return {
    code: problem.nodeCount === 0 ? 'NO_CAPACITY' : 'MEMORY_LIMIT',
    reason: problem.nodeCount === 0 ? 'no node is here' : need,
    cure: need,
    missing,
  };
}

function hasAny(profile: ModelProfile, layer: number, ops: readonly string[]): boolean {
  return profile.layers[layer]!.ops?.some((op) => ops.includes(op)) === true;
}

function opsOf(profile: ModelProfile, { start, end }: LayerRange): string[] {
  return [...new Set(profile.layers.slice(start, end).flatMap((layer) => layer.ops ?? []))];
}

function named({ start, end }: LayerRange): string {
  return end - start === 1 ? `layer ${start}` : `layers ${start}-${end - 1}`;
}

function nodes(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`;
}

/** Rounded up, so that a node of that size is enough. */
function megabytes(bytes: number): string {
  const megabyte = bytes / 1e6;
  return `${megabyte >= 100 ? Math.ceil(megabyte) : Math.ceil(megabyte * 10) / 10} MB`;
}
