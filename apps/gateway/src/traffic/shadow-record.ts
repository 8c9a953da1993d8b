/** What came of the requests that were repeated on one shadow version beside one version that answered. */
import type { ReasonCode } from '@shoal/protocol';
import type { OutputDifference } from './compare-outputs.ts';

/** Percentiles are those of this many last comparisons. */
const LATENCIES_KEPT = 512;

export interface LatencyMs {
  readonly p50: number;
  readonly p95: number;
}

/** All of them count from the gateway's start; for metrics, they only grow. */
export interface ShadowComparison {
  readonly model: string;
  /** The version that answered, and the shadow. */
  readonly version: number;
  readonly shadowVersion: number;
  readonly compared: number;
  /** Requests whose shadow failed or could not be compared, by reason code. */
  readonly failed: Readonly<Record<string, number>>;
  /** Requests that were drawn while too many shadows were under way. */
  readonly skipped: number;
  /** Share of rows with the same greatest class; null where no output has classes. */
  readonly top1Agreement: number | null;
  /** Relative L2 distance of the outputs, over all comparisons; null before there are any. */
  readonly relativeL2Mean: number | null;
  readonly relativeL2Max: number | null;
  /** As the gateway measures both, the answer's at the time when it was given. */
  readonly latencyMs: LatencyMs | null;
  readonly shadowLatencyMs: LatencyMs | null;
}

export class ShadowRecord {
  readonly #about: Pick<ShadowComparison, 'model' | 'version' | 'shadowVersion'>;
  readonly #failed: Partial<Record<ReasonCode, number>> = {};
  readonly #latencies: { readonly answerMs: number; readonly shadowMs: number }[] = [];
  #compared = 0;
  #skipped = 0;
  #rows = 0;
  #rowsAgreeing = 0;
  #distances = 0;
  #distanceSum = 0;
  #distanceMax = 0;

  constructor(about: Pick<ShadowComparison, 'model' | 'version' | 'shadowVersion'>) {
    this.#about = about;
  }

  compared({ rows, rowsAgreeing, relativeL2 }: OutputDifference, answerMs: number, shadowMs: number): void {
    this.#latencies[this.#compared % LATENCIES_KEPT] = { answerMs, shadowMs };
    this.#compared += 1;
    this.#rows += rows;
    this.#rowsAgreeing += rowsAgreeing;
    if (relativeL2 === null) return;
    this.#distances += 1;
    this.#distanceSum += relativeL2;
    this.#distanceMax = Math.max(this.#distanceMax, relativeL2);
  }

  failed(code: ReasonCode): void {
    this.#failed[code] = (this.#failed[code] ?? 0) + 1;
  }

  skipped(): void {
    this.#skipped += 1;
  }

  get comparison(): ShadowComparison {
    const has = this.#distances > 0;
    return {
      ...this.#about,
      compared: this.#compared,
      failed: { ...this.#failed },
      skipped: this.#skipped,
      top1Agreement: this.#rows === 0 ? null : this.#rowsAgreeing / this.#rows,
      relativeL2Mean: has ? this.#distanceSum / this.#distances : null,
      relativeL2Max: has ? this.#distanceMax : null,
      latencyMs: percentiles(this.#latencies.map(({ answerMs }) => answerMs)),
      shadowLatencyMs: percentiles(this.#latencies.map(({ shadowMs }) => shadowMs)),
    };
  }
}

/** Nearest-rank percentiles. */
function percentiles(values: readonly number[]): LatencyMs | null {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number | undefined => sorted[Math.ceil(share * sorted.length) - 1];
  const [p50, p95] = [at(0.5), at(0.95)];
  return p50 === undefined || p95 === undefined ? null : { p50, p95 };
}
