/** Fewer cuts where there are many: searches that price every pair of cuts need them few. */

/** Figures of a list of cuts, the model's input first and its output last. */
export interface CutFigures {
  /** Σ computeMs before each cut. */
  readonly cost: Float64Array;
  /** Σ weightBytes before each cut. */
  readonly weight: Float64Array;
  /** Bytes a row carries over each cut. */
  readonly bytes: Float64Array;
}

/** Indices of all cuts. */
export function allCuts({ bytes }: CutFigures): Int32Array {
  return Int32Array.from({ length: bytes.length }, (_, k) => k);
}

/** Indices of the thinnest cut of each of a number of spans alike in cost and weights, and of both ends: at most `cutsMax`. */
export function thinnestCuts(figures: CutFigures, cutsMax: number): Int32Array {
  const { cost, weight, bytes } = figures;
  const last = bytes.length - 1;
  if (last + 1 <= cutsMax) return allCuts(figures);
  const spans = cutsMax - 2;
  const best = new Int32Array(spans).fill(-1);
  for (let k = 1; k < last; k++) {
    const done = cost[k]! / cost[last]!;
    const part = weight[last]! > 0 ? (done + weight[k]! / weight[last]!) / 2 : done;
    const span = Math.min(spans - 1, Math.floor(spans * part));
    if (best[span]! < 0 || bytes[k]! < bytes[best[span]!]!) best[span] = k;
  }
  return Int32Array.from([0, ...best.filter((k) => k > 0), last]);
}
