/**
 * The placement whose one row arrives soonest: a shortest path over (cut, node) on which no node occurs twice. Best first
 * with a bound on what is left, so few labels are looked at. A label is dropped when another one at the same cut and
 * node came no later through a subset of its nodes, which keeps the search exact.
 */
import type { Group } from './flow.ts';
import { clientHopMs, hopMs, stageMs } from './predict.ts';
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Shape } from './shape.ts';

/** Labels taken from the queue before the search settles for the best complete route; ties of many like nodes can be many. */
const LABELS_MAX = 20_000;

interface Label {
  readonly group: Group;
  readonly doneMs: number;
  /** Least time at which a row can be back at the client. */
  readonly leastMs: number;
  readonly stages: number;
  readonly previous: Label | undefined;
}

/** One node a stage, or undefined where no route fits the shape. */
export function fastestRoute(problem: Problem, shape: Shape): readonly Group[] | undefined {
  const { cutCount, cost, nodeCount } = problem;
  let fastest = 0;
  for (const speed of problem.speed) fastest = Math.max(fastest, speed);
  let homeMs = Infinity;
  for (let i = 0; i < nodeCount; i++) homeMs = Math.min(homeMs, clientHopMs(problem, i, cutCount));
  const queue = new LabelQueue();
  const settled = new Map<number, Label[]>();
  const add = (previous: Label | undefined, i: number, from: number): void => {
    const arrivedMs =
      previous === undefined
        ? clientHopMs(problem, i, 0)
        : previous.doneMs + hopMs(problem, previous.group.members[0]!, i, from);
    const stages = (previous?.stages ?? 0) + 1;
    for (let to = from + 1; to <= reachFrom(problem, i, from); to++) {
      if (to === cutCount ? stages < shape.stagesMin : stages >= shape.stagesMax) continue;
      const doneMs = arrivedMs + stageMs(problem, i, from, to);
      const restMs = to === cutCount ? clientHopMs(problem, i, to) : (cost[cutCount]! - cost[to]!) / fastest + homeMs;
      queue.push({ group: { from, to, members: [i] }, doneMs, leastMs: doneMs + restMs, stages, previous });
    }
  };
  for (let i = 0; i < nodeCount; i++) add(undefined, i, 0);
  for (let taken = 0; taken < LABELS_MAX; taken++) {
    const label = queue.pop();
    if (label === undefined) return undefined;
    if (label.group.to === cutCount) return groupsOf(label);
    const at = label.group.to * nodeCount + label.group.members[0]!;
    const others = settled.get(at) ?? [];
    if (others.some((other) => dominates(other, label, shape))) continue;
    settled.set(at, [...others, label]);
    const used = nodesOf(label);
    for (let i = 0; i < nodeCount; i++) if (!used.has(i)) add(label, i, label.group.to);
  }
  return queue.firstComplete(cutCount);
}

function dominates(a: Label, b: Label, shape: Shape): boolean {
  const counted = shape.stagesMin > 1 || shape.stagesMax < Infinity;
  if (a.doneMs > b.doneMs || (counted && a.stages !== b.stages)) return false;
  const used = nodesOf(b);
  for (const i of nodesOf(a)) if (!used.has(i)) return false;
  return true;
}

function nodesOf(label: Label): Set<number> {
  const nodes = new Set<number>();
  for (let at: Label | undefined = label; at !== undefined; at = at.previous) nodes.add(at.group.members[0]!);
  return nodes;
}

function groupsOf(label: Label): Group[] {
  const groups: Group[] = [];
  for (let at: Label | undefined = label; at !== undefined; at = at.previous) groups.unshift(at.group);
  return groups;
}

/** A binary heap by `leastMs`. */
class LabelQueue {
  readonly #heap: Label[] = [];

  push(label: Label): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(label);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.leastMs <= label.leastMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = label;
  }

  pop(): Label | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.leastMs < heap[child]!.leastMs) child++;
      if (heap[child]!.leastMs >= last.leastMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  /** The soonest of the complete routes met so far. */
  firstComplete(cutCount: number): readonly Group[] | undefined {
    let best: Label | undefined;
    for (const label of this.#heap) {
      if (label.group.to === cutCount && (best === undefined || label.leastMs < best.leastMs)) best = label;
    }
    return best === undefined ? undefined : groupsOf(best);
  }
}
