/**
 * Repeats a share of a model's requests on its shadow version and records how the two compare. The caller's answer is out
 * before its shadow begins, few shadows are under way at once, and whatever befalls them is recorded and nothing else.
 */
import type { Clock, Random } from '@shoal/base';
import { MeshError, type NamedTensors } from '@shoal/protocol';
import type { Inference, InferenceRequest } from '../inference.ts';
import type { ModelHandles } from '../model-handles.ts';
import { compareOutputs } from './compare-outputs.ts';
import { ShadowRecord, type ShadowComparison } from './shadow-record.ts';

/** More would hold the inputs of more requests, and take more of the nodes from callers. */
const SHADOWS_UNDER_WAY_MAX = 8;
const SHADOW_DEADLINE_MS = 30_000;

export interface ShadowingParts {
  readonly inference: Inference;
  readonly handles: ModelHandles;
  readonly clock: Clock;
  readonly random: Random;
}

export class Shadowing implements Inference {
  readonly #parts: ShadowingParts;
  /** By model, version and shadow version. */
  readonly #records = new Map<string, ShadowRecord>();
  readonly #closing = new AbortController();
  #underWay = 0;

  constructor(parts: ShadowingParts) {
    this.#parts = parts;
  }

  async run(request: InferenceRequest): Promise<NamedTensors> {
    const { inference, clock } = this.#parts;
    const startedAtMs = clock.nowMs();
    const outputs = await inference.run(request);
    this.#consider(request, outputs, clock.nowMs() - startedAtMs);
    return outputs;
  }

  /** What was found out so far. */
  comparisons(): ShadowComparison[] {
    return [...this.#records.values()].map(({ comparison }) => comparison);
  }

  /** Calls off what is under way. */
  close(): void {
    this.#closing.abort();
  }

  #consider(request: InferenceRequest, outputs: NamedTensors, answerMs: number): void {
    const { traffic, info } = request.model;
    const { shadow } = traffic;
    if (shadow === undefined || shadow.version === info.version) return;
    if (this.#closing.signal.aborted || this.#parts.random.next() >= shadow.share) return;
    const record = this.#recordOf(info.model, info.version, shadow.version);
    if (this.#underWay >= SHADOWS_UNDER_WAY_MAX) return record.skipped();
    this.#underWay += 1;
    this.#repeat(request, shadow.version, outputs, answerMs, record)
      .catch((error: unknown) => record.failed(MeshError.from(error).code))
      .finally(() => {
        this.#underWay -= 1;
      });
  }

  async #repeat(
    { model, signatureName, inputs }: InferenceRequest,
    version: number,
    outputs: NamedTensors,
    answerMs: number,
    record: ShadowRecord,
  ): Promise<void> {
    const { inference, handles, clock } = this.#parts;
    const shadow = await handles.get({ name: model.info.model, version });
    const startedAtMs = clock.nowMs();
    const found = await inference.run({
      model: shadow,
      signatureName,
      inputs,
      deadlineMs: SHADOW_DEADLINE_MS,
      signal: this.#closing.signal,
    });
    record.compared(compareOutputs(outputs, found), answerMs, clock.nowMs() - startedAtMs);
  }

  #recordOf(model: string, version: number, shadowVersion: number): ShadowRecord {
    const key = `${model}/${version}/${shadowVersion}`;
    const record = this.#records.get(key) ?? new ShadowRecord({ model, version, shadowVersion });
    this.#records.set(key, record);
    return record;
  }
}
