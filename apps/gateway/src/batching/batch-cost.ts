/** What batches have cost, learned from those that came back: a part that every batch pays, and a part per row. */

/** Weight of the newest measurement. */
const BLEND = 0.3;
/** The shortest trip counts, and grows old slowly: a longer one has mostly waited behind work, which sending ahead only adds to. */
const TRIP_BLEND_UP = 0.02;

export interface BatchCost {
  /** Compute time that a batch takes on its slowest stage whatever its size. 0 until that is known. */
  readonly fixedMs: number;
  /** Whether batches of different sizes were seen, so that the two parts are told apart. */
  readonly isSplit: boolean;
  /** Compute time of each row on top. */
  readonly msPerRow: number;
  /** Compute time of the batches that lately came, whatever their size. */
  readonly batchMs: number;
  /** From sending to the result, besides waiting and computing on nodes. */
  readonly tripMs: number;
}

export interface BatchSample {
  readonly rows: number;
  readonly computeMs: number;
  readonly tripMs: number;
}

/** Means of the batches of about one size. */
interface SizeMeans {
  rows: number;
  computeMs: number;
}

export class BatchCostMeter {
  /** By power of two: sizes that were long not seen keep their say, so that a line remains known while all are alike. */
  readonly #sizes = new Map<number, SizeMeans>();
  #batchMs: number | null = null;
  #tripMs: number | null = null;
  #cost: BatchCost;

  /** @param msPerRow what the node itself has measured */
  constructor(msPerRow: number) {
    this.#cost = { fixedMs: 0, msPerRow, isSplit: false, batchMs: msPerRow, tripMs: 0 };
  }

  get cost(): BatchCost {
    return this.#cost;
  }

  add({ rows, computeMs, tripMs }: BatchSample): void {
    const size = Math.floor(Math.log2(Math.max(1, rows)));
    const means = this.#sizes.get(size);
    if (means === undefined) this.#sizes.set(size, { rows, computeMs });
    else {
      means.rows += BLEND * (rows - means.rows);
      means.computeMs += BLEND * (computeMs - means.computeMs);
    }
    this.#batchMs ??= computeMs;
    this.#batchMs += BLEND * (computeMs - this.#batchMs);
    this.#tripMs ??= tripMs;
    this.#tripMs = Math.min(tripMs, this.#tripMs + TRIP_BLEND_UP * (tripMs - this.#tripMs));
    this.#cost = { ...this.#line(), isSplit: this.#sizes.size > 1, batchMs: this.#batchMs, tripMs: this.#tripMs };
  }

  /** Least squares over the sizes, each with its mean once; a line through the origin where there is only one. */
  #line(): { readonly fixedMs: number; readonly msPerRow: number } {
    const sizes = [...this.#sizes.values()];
    const meanRows = sizes.reduce((sum, { rows }) => sum + rows, 0) / sizes.length;
    const meanMs = sizes.reduce((sum, { computeMs }) => sum + computeMs, 0) / sizes.length;
    const through = { fixedMs: 0, msPerRow: meanMs / meanRows };
    if (sizes.length < 2) return through;
    const covariance = sizes.reduce((sum, { rows, computeMs }) => sum + (rows - meanRows) * (computeMs - meanMs), 0);
    const variance = sizes.reduce((sum, { rows }) => sum + (rows - meanRows) ** 2, 0);
    const slope = Math.max(0, covariance / variance);
    const fixedMs = meanMs - slope * meanRows;
    return fixedMs < 0 ? through : { fixedMs, msPerRow: slope };
  }
}
