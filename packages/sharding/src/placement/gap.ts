/**
 * Whether a model fits a mesh at all, speed aside, one node a stage: a cover of the chain, or the gap that one more node would
 * have to fill. Exact for few nodes by dynamic programming over sets; beyond, greedy with seeded restarts, so that a
 * contrived mesh may be called too small.
 */
import { seededRandom } from '@shoal/base';
import type { Random } from '@shoal/base';
import type { Group } from './flow.ts';
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { stageMemoryBytes } from './profile.ts';
import type { LayerRange } from './profile.ts';

const SETS_NODES_MAX = 12;
const RESTARTS = 64;
/** How many of the nodes that reach furthest a restart chooses among. */
const CHOICES = 3;

export type Fit = { readonly cover: readonly Group[] } | { readonly gap: LayerRange };

/** `stagesMax` limits the stages of the cover, and of the cover that the gap would complete. */
export function fitOf(problem: Problem, stagesMax: number): Fit {
  return problem.nodeCount <= SETS_NODES_MAX ? fitExactly(problem, stagesMax) : fitGreedily(problem, stagesMax);
}

/** The first cut from which node i can hold the layers up to `to`. */
function firstFrom(problem: Problem, i: number, to: number): number {
  let from = to;
  while (from > 0 && reachFrom(problem, i, from - 1) >= to) from--;
  return from;
}

function fitExactly(problem: Problem, stagesMax: number): Fit {
  const { nodeCount, cutCount } = problem;
  const sets = 1 << nodeCount;
  const size = new Uint8Array(sets);
  const front = new Int32Array(sets);
  const last = new Int32Array(sets).fill(-1);
  const back = new Int32Array(sets).fill(cutCount);
  const before = Array.from({ length: nodeCount }, (_, i) =>
    Int32Array.from({ length: cutCount + 1 }, (_unused, to) => firstFrom(problem, i, to)),
  );
  for (let set = 1; set < sets; set++) {
    size[set] = size[set & (set - 1)]! + 1;
    for (let i = 0; i < nodeCount; i++) {
      if ((set & (1 << i)) === 0) continue;
      const rest = set & ~(1 << i);
      const reached = reachFrom(problem, i, front[rest]!);
      if (reached > front[set]!) {
        front[set] = reached;
        last[set] = i;
      }
      back[set] = Math.min(back[set]!, before[i]![back[rest]!]!);
    }
    if (size[set]! <= stagesMax && front[set] === cutCount) return { cover: coverOf(set, front, last) };
  }
  let best: { gap: LayerRange; bytes: number } | undefined;
  for (let set = 0; set < sets; set++) {
    for (let other = sets - 1 - set; ; other = (other - 1) & (sets - 1 - set)) {
      if (size[set]! + size[other]! + 1 <= stagesMax) {
        const gap = { start: problem.cuts[front[set]!]!, end: problem.cuts[back[other]!]! };
        const bytes = stageMemoryBytes(problem.profile, gap);
        // Of gaps alike, the latest: people read chains from the front.
        const better = best === undefined || bytes < best.bytes || (bytes === best.bytes && gap.start > best.gap.start);
        if (better) best = { gap, bytes };
      }
      if (other === 0) break;
    }
  }
  return { gap: best?.gap ?? { start: 0, end: problem.profile.layers.length } };
}

function coverOf(set: number, front: Int32Array, last: Int32Array): Group[] {
  const groups: Group[] = [];
  for (let rest = set; rest > 0;) {
    const i = last[rest]!;
    const smaller = rest & ~(1 << i);
    groups.unshift({ from: front[smaller]!, to: front[rest]!, members: [i] });
    rest = smaller;
  }
  return groups;
}

function fitGreedily(problem: Problem, stagesMax: number): Fit {
  const random = seededRandom(1);
  let furthest = 0;
  for (let attempt = 0; attempt <= RESTARTS; attempt++) {
    const groups = greedyCover(problem, stagesMax, attempt === 0 ? undefined : random);
    const reached = groups.at(-1)?.to ?? 0;
    if (reached === problem.cutCount) return { cover: groups };
    // The last stage is the gap's when there may be no stage more.
    const start = groups.length === stagesMax ? groups.at(-1)!.from : reached;
    furthest = Math.max(furthest, start);
  }
  return { gap: { start: problem.cuts[furthest]!, end: problem.profile.layers.length } };
}

function greedyCover(problem: Problem, stagesMax: number, random: Random | undefined): Group[] {
  const groups: Group[] = [];
  const free = new Set(Array.from({ length: problem.nodeCount }, (_, i) => i));
  for (let from = 0; from < problem.cutCount && groups.length < stagesMax;) {
    const able = [...free]
      .map((i) => ({ i, to: reachFrom(problem, i, from) }))
      .filter(({ to }) => to > from)
      .sort((a, b) => b.to - a.to || problem.nodes[a.i]!.memoryBytes - problem.nodes[b.i]!.memoryBytes);
    const pick = random === undefined ? 0 : Math.floor(random.next() * Math.min(CHOICES, able.length));
    const chosen = able[pick];
    if (chosen === undefined) break;
    groups.push({ from, to: chosen.to, members: [chosen.i] });
    free.delete(chosen.i);
    from = chosen.to;
  }
  return groups;
}
