/** What moving from what nodes hold to a placement costs: weight bytes to fetch. */
import type { Group } from './flow.ts';
import type { Problem } from './problem.ts';
import { missingWeightBytes } from './profile.ts';
import type { LayerRange } from './profile.ts';

/** What a placement costs to come about: bytes that node i must still fetch to hold `[from, to)`; grows with the range. */
export type FetchBytes = (i: number, from: number, to: number) => number;

/** `held[i]`: the layers that node i holds now. */
export function fetchBytesOf(problem: Problem, held: readonly (LayerRange | undefined)[]): FetchBytes {
  const { profile, cuts, nodeCount, cutCount } = problem;
  const known = new Map<number, number>();
  return (i, from, to) => {
    const key = (from * (cutCount + 1) + to) * nodeCount + i;
    let bytes = known.get(key);
    if (bytes === undefined) {
      bytes = missingWeightBytes(profile, { start: cuts[from]!, end: cuts[to]! }, held[i]);
      known.set(key, bytes);
    }
    return bytes;
  };
}

export function totalBytes(fetchBytes: FetchBytes, groups: readonly Group[]): number {
  let bytes = 0;
  for (const { from, to, members } of groups) for (const i of members) bytes += fetchBytes(i, from, to);
  return bytes;
}

/** Time until the last node has what it lacks, each at the rate of its fastest link. */
export function fetchMs(problem: Problem, fetchBytes: FetchBytes, groups: readonly Group[]): number {
  const { pair, nodeCount, clientBytesPerMs } = problem;
  let ms = 0;
  for (const { from, to, members } of groups) {
    for (const i of members) {
      let bytesPerMs = clientBytesPerMs[i]!;
      for (let j = 0; j < nodeCount; j++) if (j !== i) bytesPerMs = Math.max(bytesPerMs, pair[j * nodeCount + i]!);
      ms = Math.max(ms, fetchBytes(i, from, to) / bytesPerMs);
    }
  }
  return ms;
}
