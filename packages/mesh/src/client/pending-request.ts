/** A request on its way: what its caller asked for, what has come of it, and its one outcome. */
import type { Clock, Random } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  MeshError,
  REQUEST_DEADLINE_MS_DEFAULT,
  REQUEST_DEADLINE_MS_MAX,
  requestId as parseRequestId,
  type ModelInfo,
  type NamedTensors,
  type RequestId,
  type Signature,
  type TensorData,
} from '@shoal/protocol';
import { checkInputs, signatureOf, type CheckedInputs } from '@shoal/sharding';
import type { MicrobatchTrace, PredictOptions } from '../sdk.ts';
import { checkedErrorBudget } from './boundary-codecs.ts';
import { joinOutputs, type OutputPart } from './request-outputs.ts';

/** A request's outcome in plain tensors. */
export interface Outcome {
  readonly requestId: RequestId;
  readonly outputs: Record<string, TensorData>;
  readonly totalMs: number;
  readonly microbatches: readonly MicrobatchTrace[];
}

/** What a caller asked for, held against the model's facts. */
export interface CheckedRequest {
  readonly id: RequestId;
  readonly inputs: CheckedInputs;
  readonly signatureName: string;
  readonly signature: Signature;
  readonly deadlineMs: number;
  readonly errorBudget: number;
}

/** @throws MeshError BAD_INPUT, TOO_LARGE or SIGNATURE_NOT_FOUND */
export function checkRequest(
  info: ModelInfo,
  tensors: NamedTensors,
  options: PredictOptions,
  random: Random,
): CheckedRequest {
  const signatureName = options.signature ?? DEFAULT_SIGNATURE;
  const signature = signatureOf(info, signatureName);
  const inputs = checkInputs(info, signature, tensors);
  const deadlineMs = requestDeadlineMs(options);
  const errorBudget = checkedErrorBudget(options.errorBudget ?? info.errorBudget ?? 0);
  const id = parseRequestId(options.requestId ?? random.id());
  return { id, inputs, signatureName, signature, deadlineMs, errorBudget };
}

/**
 * Time that a request has.
 * @throws MeshError BAD_INPUT
 */
export function requestDeadlineMs({ deadlineMs = REQUEST_DEADLINE_MS_DEFAULT }: PredictOptions): number {
  if (deadlineMs > 0 && deadlineMs <= REQUEST_DEADLINE_MS_MAX) return deadlineMs;
  throw new MeshError('BAD_INPUT', `deadlineMs is ${deadlineMs}, limit above 0 to ${REQUEST_DEADLINE_MS_MAX}`);
}

export class PendingRequest {
  readonly request: CheckedRequest;
  readonly startedAtMs: number;
  readonly deadlineAtMs: number;
  readonly #clock: Clock;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (error: MeshError) => void;
  readonly #parts: OutputPart[] = [];
  readonly #microbatches: MicrobatchTrace[] = [];

  /** Its time runs from now on. */
  constructor(
    request: CheckedRequest,
    clock: Clock,
    resolve: (outcome: Outcome) => void,
    reject: (error: MeshError) => void,
  ) {
    this.request = request;
    this.startedAtMs = clock.nowMs();
    this.deadlineAtMs = this.startedAtMs + request.deadlineMs;
    this.#clock = clock;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Takes in what one microbatch has brought. */
  add(part: OutputPart, microbatch: MicrobatchTrace): void {
    this.#parts.push(part);
    this.#microbatches.push(microbatch);
  }

  /** Without an error all its rows have come. */
  settle(error: MeshError | null): void {
    if (error !== null) return this.#reject(error);
    try {
      this.#resolve({
        requestId: this.request.id,
        outputs: joinOutputs(this.request.signature, this.#parts),
        totalMs: this.#clock.nowMs() - this.startedAtMs,
        microbatches: [...this.#microbatches].sort((a, b) => a.rows[0] - b.rows[0]),
      });
    } catch (joinError) {
      this.#reject(MeshError.from(joinError));
    }
  }
}
