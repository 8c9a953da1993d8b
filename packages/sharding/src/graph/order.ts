/**
 * The order of layers. What a cut costs depends on it: of all topological orders one wants that in which few
 * bytes are alive at once. Finding the best is NP-hard (register allocation), so three simple orders are
 * made and the one with the smallest sum of live bytes over all cuts is taken; ties go to the first.
 *
 * 1. the file's order, as far as it is topological;
 * 2. depth first: what has just become ready runs next, so that a branch is finished before another begins;
 * 3. least alive: of what is ready, run what adds the fewest live bytes.
 */
import type { Unit } from './units.ts';

/** Ready units that the third order compares at each step, oldest first, so that wide graphs stay linear. */
const COMPARED_MAX = 64;
/** Beyond this many look-ups (about a second) the third order is not tried. */
const COMPARISONS_MAX = 50_000_000;

export interface OrderInput {
  readonly units: readonly Unit[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Bytes of a tensor; an estimate where they are unknown. */
  readonly bytesOf: (tensor: string) => number;
}

/** Indices of units in the chosen order. */
export function chooseOrder(input: OrderInput): readonly number[] {
  const links = new Links(input);
  const reads = input.units.reduce((most, unit) => Math.max(most, unit.reads.length), 0);
  const comparisons = input.units.length * COMPARED_MAX * reads;
  const candidates = [fileOrder(links), depthFirst(links)];
  if (comparisons <= COMPARISONS_MAX) candidates.push(leastAlive(links));
  let best: readonly number[] = [];
  let bestBytes = Infinity;
  for (const order of candidates) {
    const bytes = liveBytes(links, order);
    if (bytes >= bestBytes) continue;
    best = order;
    bestBytes = bytes;
  }
  return best;
}

/** Who waits for whom, as numbers. */
class Links {
  readonly input: OrderInput;
  readonly followers: readonly (readonly number[])[];
  /** Units that read a tensor. */
  readonly readerCounts: ReadonlyMap<string, number>;

  constructor(input: OrderInput) {
    this.input = input;
    const followers: number[][] = input.units.map(() => []);
    const counts = new Map<string, number>();
    for (const [i, unit] of input.units.entries()) {
      for (const before of unit.after) followers[before]?.push(i);
      for (const tensor of unit.reads) counts.set(tensor, (counts.get(tensor) ?? 0) + 1);
    }
    // An output of the model is read by whoever called it, after all else.
    for (const tensor of input.outputs) counts.set(tensor, (counts.get(tensor) ?? 0) + 1);
    this.followers = followers;
    this.readerCounts = counts;
  }

  waiting(): number[] {
    return this.input.units.map((unit) => unit.after.length);
  }
}

/** Units that nothing holds back any longer, in ascending order, after `done` has run. */
function released(links: Links, waiting: number[], done: number): readonly number[] {
  const ready: number[] = [];
  for (const follower of links.followers[done] ?? []) {
    const left = (waiting[follower] ?? 0) - 1;
    waiting[follower] = left;
    if (left === 0) ready.push(follower);
  }
  return ready;
}

function fileOrder(links: Links): readonly number[] {
  const waiting = links.waiting();
  const order: number[] = [];
  const ready = new Smallest();
  for (const [i, count] of waiting.entries()) if (count === 0) ready.push(i);
  for (let unit = ready.pop(); unit !== undefined; unit = ready.pop()) {
    order.push(unit);
    for (const next of released(links, waiting, unit)) ready.push(next);
  }
  return order;
}

/** A binary heap of numbers that gives the smallest first. */
class Smallest {
  readonly #heap: number[] = [];

  push(value: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(value);
    for (let parent = (at - 1) >> 1; at > 0 && (heap[parent] ?? 0) > value; parent = (at - 1) >> 1) {
      heap[at] = heap[parent] ?? 0;
      heap[parent] = value;
      at = parent;
    }
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const smallest = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return smallest;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if ((heap[child + 1] ?? Infinity) < (heap[child] ?? 0)) child += 1;
      const below = heap[child] ?? 0;
      if (below >= last) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return smallest;
  }
}

function depthFirst(links: Links): readonly number[] {
  const waiting = links.waiting();
  const order: number[] = [];
  const stack = waiting.flatMap((count, i) => (count === 0 ? [i] : [])).reverse();
  for (let unit = stack.pop(); unit !== undefined; unit = stack.pop()) {
    order.push(unit);
    stack.push(...released(links, waiting, unit).toReversed());
  }
  return order;
}

function leastAlive(links: Links): readonly number[] {
  const { units, bytesOf } = links.input;
  const waiting = links.waiting();
  const left = new Map(links.readerCounts);
  const order: number[] = [];
  const ready = waiting.flatMap((count, i) => (count === 0 ? [i] : []));
  const growth = (unit: Unit): number => {
    let bytes = 0;
    for (const tensor of unit.makes) bytes += bytesOf(tensor);
    for (const tensor of unit.reads) if (left.get(tensor) === 1) bytes -= bytesOf(tensor);
    return bytes;
  };
  while (ready.length > 0) {
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < Math.min(ready.length, COMPARED_MAX); i += 1) {
      const unit = units[ready[i] ?? 0];
      const bytes = unit === undefined ? Infinity : growth(unit);
      if (bytes < least) [best, least] = [i, bytes];
    }
    const [index = 0] = ready.splice(best, 1);
    order.push(index);
    for (const tensor of units[index]?.reads ?? []) left.set(tensor, (left.get(tensor) ?? 1) - 1);
    ready.push(...released(links, waiting, index));
  }
  return order;
}

/** Sum over the cuts between units of the bytes that are alive there. */
function liveBytes(links: Links, order: readonly number[]): number {
  const { units, inputs, bytesOf } = links.input;
  const left = new Map(links.readerCounts);
  let alive = 0;
  for (const tensor of inputs) if ((left.get(tensor) ?? 0) > 0) alive += bytesOf(tensor);
  let total = 0;
  for (const index of order.slice(0, -1)) {
    for (const tensor of units[index]?.reads ?? []) {
      const count = (left.get(tensor) ?? 1) - 1;
      left.set(tensor, count);
      if (count === 0) alive -= bytesOf(tensor);
    }
    for (const tensor of units[index]?.makes ?? []) alive += bytesOf(tensor);
    total += alive;
  }
  return total;
}
