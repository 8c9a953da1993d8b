/**
 * What the rest of a placement costs at least: for each cut and each set of nodes the fewest bytes to fetch with which the set
 * can take all layers after the cut, when every stage has to pass a given rate and links between single pairs are left
 * aside. Dynamic programming over sets of nodes, from the output to the input: up to 3^n transitions for each cut.
 */
import { Covers, sumsOf } from './cover.ts';
import type { FetchBytes } from './fetch.ts';
import { reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import type { CutRanges } from './ranges.ts';

export interface Tails {
  /** `bytes[cut][set]`: Infinity where there is no way below the limit; undefined where no set has one. */
  readonly bytes: readonly (Float64Array | undefined)[];
  /** `first[set]`: the first cut from which the set has a way; beyond the last cut where it has none. */
  readonly first: Int32Array;
  /** Sets of nodes and ranges looked at. */
  readonly work: number;
}

/**
 * Tails whose stages have at most `replicasMax` nodes and pass `rate` rows/ms, of fewer than `bytesMax` bytes; `ranges` are
 * those of all cuts. Undefined where that would take more work than `workMax`.
 */
export function cheapestTails(
  problem: Problem,
  ranges: CutRanges,
  replicasMax: number,
  rate: number,
  fetchBytes: FetchBytes,
  bytesMax: number,
  workMax: number,
): Tails | undefined {
  const { nodeCount, cutCount, cost } = problem;
  const all = (1 << nodeCount) - 1;
  const speed = sumsOf(problem.speed);
  const furthest = new Covers(problem, replicasMax).furthest(rate);
  const rows: (Float64Array | undefined)[] = Array.from({ length: cutCount + 1 });
  const rowAt = (cut: number): Float64Array => (rows[cut] ??= new Float64Array(all + 1).fill(Infinity));
  rowAt(cutCount)[0] = 0;
  let work = 0;
  for (let to = cutCount; to > 0; to--) {
    const row = rows[to];
    if (row === undefined) continue;
    const back = holdFrom(problem, to, replicasMax);
    for (const used of closeUpwards(row)) {
      const others = all & ~used;
      const spent = row[used]!;
      for (let members = others; members > 0; members = (members - 1) & others) {
        if (++work > workMax) return undefined;
        // What comes before has to be done by those that are left.
        for (let from = Math.min(to - 1, furthest[others & ~members]!); from >= back[members]!; from--) {
          if (speed[members]! < rate * (cost[to]! - cost[from]!)) break;
          work++;
          const target = rowAt(from);
          if (target[used | members]! <= spent) continue;
          const at = ranges.index(from, to) * nodeCount;
          let passes = 0;
          let bytes = spent;
          for (let rest = members; rest > 0; rest &= rest - 1) {
            const i = 31 - Math.clz32(rest & -rest);
            passes += ranges.rates[at + i]!;
            bytes += fetchBytes(i, from, to);
          }
          if (bytes >= bytesMax) break;
          if (passes >= rate && bytes < target[used | members]!) target[used | members] = bytes;
        }
      }
    }
  }
  if (rows[0] !== undefined) closeUpwards(rows[0]);
  return { bytes: rows, first: firstFinite(rows, all), work };
}

/** For each set, the first cut from which all of it can hold the layers up to `to`; `to` where the set is too large. */
function holdFrom(problem: Problem, to: number, replicasMax: number): Int32Array {
  const { nodeCount } = problem;
  const table = new Int32Array(1 << nodeCount);
  const size = new Uint8Array(1 << nodeCount);
  for (let set = 1; set < table.length; set++) {
    const rest = set & (set - 1);
    const lowest = set & -set;
    size[set] = size[rest]! + 1;
    if (rest > 0) table[set] = size[set]! > replicasMax ? to : Math.max(table[rest]!, table[lowest]!);
    else while (reachFrom(problem, 31 - Math.clz32(set), table[set]!) < to) table[set]!++;
  }
  return table;
}

/** What a set can do its supersets can. Returns the sets that can do more than all of their subsets. */
function closeUpwards(row: Float64Array): number[] {
  const open: number[] = [];
  for (let set = 0; set < row.length; set++) {
    let least = Infinity;
    for (let rest = set; rest > 0; rest &= rest - 1) least = Math.min(least, row[set & ~(rest & -rest)]!);
    if (row[set]! < least) open.push(set);
    else row[set] = least;
  }
  return open;
}

function firstFinite(rows: readonly (Float64Array | undefined)[], all: number): Int32Array {
  const first = new Int32Array(all + 1).fill(rows.length);
  for (let cut = rows.length - 1; cut >= 0; cut--) {
    const row = rows[cut];
    if (row === undefined) continue;
    for (let set = 0; set <= all; set++) if (row[set]! < Infinity) first[set] = cut;
  }
  return first;
}
