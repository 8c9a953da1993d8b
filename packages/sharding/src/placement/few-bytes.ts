/**
 * Placements that fetch little, for any number of nodes. A node that holds layers can serve any part of them at no cost, so
 * the tilings tried are the one in force with up to a few cuts more: nodes spread over the parts of what they hold,
 * those that hold nothing (or whatever is cheapest) fill what is missing.
 */
import { assign, evenPrices, level, priceStages, slowest } from './assign.ts';
import type { Assignment } from './assign.ts';
import type { FetchBytes } from './fetch.ts';
import { totalBytes } from './fetch.ts';
import { throughput } from './flow.ts';
import type { Group } from './flow.ts';
import { variations } from './links.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { allCuts, thinnestCuts } from './cuts.ts';
import type { Shape } from './shape.ts';

const PRICE_STEPS = 16;
const LEVEL_STEPS = 60;
/** Cuts that may be added to the tiling in force, one after the other. */
const CUTS_ADDED_MAX = 2;
/** Of the tilings with one cut more, how many get another. */
const WIDTH = 4;
/** Places for new cuts that are looked at. */
const PLACES_MAX = 96;
/** Nodes without layers that are tried one by one at every stage. */
const NEWCOMERS_MAX = 4;
/** Rates looked at in all. */
const WORK_MAX = 20_000_000;
/** Nodes and links looked at while paring down a move. */
const PARE_WORK_MAX = 3_000_000;

export interface Move {
  readonly groups: readonly Group[];
  readonly bytes: number;
}

/** The cheapest placement found that passes `floor` rows/ms from the tilings given, if it costs less than `bytesMax`. */
export function fewestBytesByTilings(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  tilings: readonly (readonly number[])[],
  bytesMax: number,
): Move | undefined {
  return new MoveSearch(problem, shape, fetchBytes, floor, bytesMax).run(tilings);
}

interface Rated {
  readonly tiling: readonly number[];
  /** Rows/ms with newcomers at their best stages, whatever that costs: how promising the tiling is. */
  readonly value: number;
}

class MoveSearch {
  readonly #problem: Problem;
  readonly #shape: Shape;
  readonly #fetchBytes: FetchBytes;
  readonly #floor: number;
  readonly #newcomers: readonly number[];
  #best: Move | undefined;
  #bytesMax: number;
  #work = 0;

  constructor(problem: Problem, shape: Shape, fetchBytes: FetchBytes, floor: number, bytesMax: number) {
    this.#problem = problem;
    this.#shape = shape;
    this.#fetchBytes = fetchBytes;
    this.#floor = floor;
    this.#bytesMax = bytesMax;
    this.#newcomers = Array.from({ length: problem.nodeCount }, (_, i) => i)
      .filter((i) => this.#holdsNothing(i))
      .sort((i, j) => problem.speed[j]! - problem.speed[i]!)
      .slice(0, NEWCOMERS_MAX);
  }

  run(tilings: readonly (readonly number[])[]): Move | undefined {
    let rated = tilings.map((tiling) => this.#try(tiling));
    for (let added = 0; added < CUTS_ADDED_MAX; added++) {
      rated = this.#refined(rated).map((tiling) => this.#try(tiling));
    }
    return this.#best;
  }

  #holdsNothing(i: number): boolean {
    for (let k = 0; k < this.#problem.cutCount; k++) {
      if (this.#problem.weight[k + 1]! > this.#problem.weight[k]! && this.#fetchBytes(i, k, k + 1) === 0) return false;
    }
    return true;
  }

  /** The most promising tilings, each with one cut more, at every place. */
  #refined(rated: readonly Rated[]): (readonly number[])[] {
    const places =
      this.#problem.cutCount < PLACES_MAX ? allCuts(this.#problem) : thinnestCuts(this.#problem, PLACES_MAX);
    const best = [...rated].sort((a, b) => b.value - a.value).slice(0, WIDTH);
    const tilings = new Map<string, readonly number[]>();
    for (const { tiling } of best) {
      if (tiling.length > Math.min(this.#shape.stagesMax, this.#problem.nodeCount)) continue;
      for (const cut of places) {
        if (tiling.includes(cut)) continue;
        const refined = [...tiling, cut].sort((a, b) => a - b);
        tilings.set(refined.join(','), refined);
      }
    }
    return [...tilings.values()];
  }

  /** Looks for a cheap assignment to a tiling. */
  #try(tiling: readonly number[]): Rated {
    const stages = tiling.length - 1;
    if (stages < this.#shape.stagesMin || stages > this.#shape.stagesMax || this.#work > WORK_MAX) {
      return { tiling, value: 0 };
    }
    const { nodeCount } = this.#problem;
    const full = Array.from({ length: stages }, (_, k) => this.#row(tiling[k]!, tiling[k + 1]!));
    const free = full.map((row, k) =>
      row.map((rate, i) => (rate > 0 && this.#fetchBytes(i, tiling[k]!, tiling[k + 1]!) === 0 ? rate : 0)),
    );
    this.#work += 4 * stages * nodeCount * PRICE_STEPS;
    const price = priceStages(free, evenPrices(free), PRICE_STEPS).price;
    this.#fill(tiling, full, this.#spread(free, price));
    const open = free.map((row, k) => row.map((rate, i) => (this.#newcomers.includes(i) ? full[k]![i]! : rate)));
    const value = slowest(this.#spread(open, priceStages(open, price, PRICE_STEPS).price).total);
    for (const i of this.#newcomers) {
      const choices = full
        .flatMap((row, k) => (row[i]! > 0 ? [{ k, bytes: this.#fetchBytes(i, tiling[k]!, tiling[k + 1]!) }] : []))
        .sort((a, b) => a.bytes - b.bytes);
      for (const { k, bytes } of choices) {
        if (bytes >= this.#bytesMax) break;
        const rows = free.with(k, free[k]!.with(i, full[k]![i]!));
        this.#fill(tiling, full, this.#spread(rows, price));
      }
    }
    return { tiling, value };
  }

  #spread(rows: readonly Float64Array[], price: Float64Array): Assignment {
    const assignment = assign(rows, price, this.#shape.replicasMax);
    level(rows, assignment, LEVEL_STEPS, this.#shape.replicasMax);
    this.#work += 2 * rows.length * this.#problem.nodeCount;
    return assignment;
  }

  #row(from: number, to: number): Float64Array {
    const row = new Float64Array(this.#problem.nodeCount);
    for (let i = 0; i < row.length; i++) {
      if (reachFrom(this.#problem, i, from) >= to) row[i] = nodeRate(this.#problem, i, from, to);
    }
    return row;
  }

  /** Brings every stage to the floor with whatever node brings most for its bytes; keeps the result if it is the cheapest. */
  #fill(tiling: readonly number[], full: readonly Float64Array[], { stageOf, total }: Assignment): void {
    const { nodeCount } = this.#problem;
    const cost = (i: number, k: number): number => this.#fetchBytes(i, tiling[k]!, tiling[k + 1]!);
    const held = new Int32Array(total.length);
    let bytes = 0;
    stageOf.forEach((k, i) => {
      if (k < 0) return;
      held[k]!++;
      bytes += cost(i, k);
    });
    for (let step = 0; bytes < this.#bytesMax; step++) {
      let low = 0;
      for (let k = 1; k < total.length; k++) if (total[k]! < total[low]!) low = k;
      if (total[low]! >= this.#floor) break;
      if (step > nodeCount || held[low]! >= this.#shape.replicasMax) return;
      let chosen = -1;
      let chosenWorth = 0;
      for (let i = 0; i < nodeCount; i++) {
        const k = stageOf[i]!;
        const rate = full[low]![i]!;
        if (k === low || rate === 0) continue;
        // Who leaves a stage leaves it at the floor.
        if (k >= 0 && total[k]! - full[k]![i]! < this.#floor) continue;
        const gain = Math.min(rate, this.#floor - total[low]!);
        const worth = gain / (cost(i, low) - (k < 0 ? 0 : cost(i, k)) + 1);
        if (worth > chosenWorth || (chosen >= 0 && worth < 0)) {
          chosen = i;
          chosenWorth = worth;
        }
      }
      if (chosen < 0) return;
      const before = stageOf[chosen]!;
      if (before >= 0) {
        total[before]! -= full[before]![chosen]!;
        held[before]!--;
        bytes -= cost(chosen, before);
      }
      stageOf[chosen] = low;
      total[low]! += full[low]![chosen]!;
      held[low]!++;
      bytes += cost(chosen, low);
    }
    this.#keep(tiling, stageOf, bytes);
  }

  #keep(tiling: readonly number[], stageOf: Int32Array, bytes: number): void {
    if (bytes >= this.#bytesMax) return;
    const groups = tiling.slice(0, -1).map((from, k) => ({
      from,
      to: tiling[k + 1]!,
      members: Array.from(stageOf.keys()).filter((i) => stageOf[i] === k),
    }));
    if (groups.some(({ members }) => members.length === 0) || throughput(this.#problem, groups) < this.#floor) return;
    this.#best = { groups, bytes };
    this.#bytesMax = bytes;
  }
}

/** Leaves out, swaps and shifts while that saves bytes and the floor is still passed. */
export function pare(
  problem: Problem,
  shape: Shape,
  fetchBytes: FetchBytes,
  floor: number,
  start: readonly Group[],
): Move {
  let groups = start;
  let bytes = totalBytes(fetchBytes, groups);
  let work = 0;
  for (let improved = true; improved && bytes > 0;) {
    improved = false;
    for (const changed of variations(problem, shape, groups)) {
      work += problem.nodeCount;
      if (work > PARE_WORK_MAX) return { groups, bytes };
      const fewer = totalBytes(fetchBytes, changed);
      if (fewer >= bytes) continue;
      for (let k = 1; k < changed.length; k++) work += changed[k - 1]!.members.length * changed[k]!.members.length;
      if (throughput(problem, changed) < floor) continue;
      groups = changed;
      bytes = fewer;
      improved = true;
      break;
    }
  }
  return { groups, bytes };
}
