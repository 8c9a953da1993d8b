/** How a client's tensors may be written: the codecs that its error budgets allow, and the writing of its own inputs. */
import { SpareMemory, type Clock, type Room } from '@shoal/base';
import { MeshError, type EncodedTensor, type PlacementMessage, type TensorData } from '@shoal/protocol';
import {
  allowedCodecs,
  chooseCodecs,
  codecError,
  CODECS,
  CodecPicker,
  encodeActivation,
  joinRows,
  REFERENCE_KERNELS,
  type CodecError,
  type CodecKernels,
} from '@shoal/sharding';
import type { WrittenInputs } from '../sdk.ts';

/** Budgets in use at a time are few: one a model handle. */
const BUDGETS_MAX = 16;

/** Fetches fast inner loops of the codecs; rejects where there are none. */
export type LoadKernels = () => Promise<CodecKernels>;

const PLAIN = 'f32';
/** Tensors as they are need the kernels too, to find a picture's few values; those of less are written as soon without. */
const KERNELS_WORTH_BYTES = 64 * 1024;

/** What a codec does to the answers where tensors enter a stage of this placement: measured, or none because nothing is lost. */
export const errorAt = ({ boundaries }: PlacementMessage, stage: number, codec: string): CodecError | null =>
  codecError(codec, boundaries?.[stage]?.codecs ?? []);

export class BoundaryCodecs {
  readonly #picker = new CodecPicker();
  readonly #memory = new SpareMemory();
  readonly #loadKernels: LoadKernels;
  #kernels: CodecKernels | 'loading' | undefined;
  #placement: PlacementMessage | undefined;
  readonly #chosen = new Map<number, readonly string[]>();

  constructor(loadKernels: LoadKernels) {
    this.#loadKernels = loadKernels;
  }

  /**
   * The least faithful codec of each boundary, first to last; none where nothing was measured or nothing may be lost.
   */
  within(errorBudget: number, placement: PlacementMessage): readonly string[] {
    const { boundaries } = placement;
    if (errorBudget === 0 || boundaries === undefined) return [];
    if (placement !== this.#placement || this.#chosen.size >= BUDGETS_MAX) this.#chosen.clear();
    this.#placement = placement;
    const known = this.#chosen.get(errorBudget);
    if (known !== undefined) return known;
    const codecs = chooseCodecs(boundaries, errorBudget).codecs.map(({ codec }) => codec);
    this.#chosen.set(errorBudget, codecs);
    return codecs;
  }

  /**
   * Writes rows of tensors, those of each name one after another.
   * @param bytesPerMs the link's rate, null while it is unknown
   * @returns bytes for `reuse`, or views of the tensors
   */
  encode(
    named: readonly (readonly [name: string, parts: readonly TensorData[]])[],
    leastFaithful: string | undefined,
    bytesPerMs: number | null,
    clock: Clock,
  ): { readonly encoded: readonly EncodedTensor[]; readonly sent: Omit<WrittenInputs, 'error'> } {
    const room: Room = (bytes) => this.#memory.take(bytes);
    const tensors = named.map(([name, parts]) => [name, joinRows(parts, room)] as const);
    const plainBytes = tensors.reduce((sum, [, { data }]) => sum + (ArrayBuffer.isView(data) ? data.byteLength : 0), 0);
    const picked = this.#picker.pick(allowedCodecs(leastFaithful), plainBytes, bytesPerMs);
    const kernels = picked !== PLAIN || plainBytes >= KERNELS_WORTH_BYTES ? this.#fetchedKernels() : undefined;
    const codec = kernels === undefined ? PLAIN : picked;
    const startedAtMs = clock.nowMs();
    const spec = CODECS.get(codec) ?? { kind: 'exact' };
    const encoded = tensors.map(([name, tensor]) =>
      encodeActivation(name, tensor, spec, kernels ?? REFERENCE_KERNELS, room),
    );
    const encodeMs = clock.nowMs() - startedAtMs;
    const bytes = encoded.reduce((sum, { data }) => sum + data.length, 0);
    this.#picker.learn(codec, { plainBytes, bytes, encodeMs });
    for (const [, { data }] of tensors) {
      if (!ArrayBuffer.isView(data)) continue;
      // What goes as it is reads them until it is sent.
      if (encoded.every((each) => each.data.buffer !== data.buffer)) this.#memory.giveBack(data);
    }
    return { encoded, sent: { codec, bytes, plainBytes, encodeMs } };
  }

  /** What `encode` gave has been sent, and is read by nobody. */
  reuse(bodies: readonly Uint8Array[]): void {
    for (const body of bodies) this.#memory.giveBack(body);
  }

  /** Nothing until they are there: no request waits for them, and the first are written as they are. */
  #fetchedKernels(): CodecKernels | undefined {
    if (this.#kernels === undefined) {
      this.#kernels = 'loading';
      void this.#loadKernels()
        .catch(() => REFERENCE_KERNELS)
        .then((kernels) => (this.#kernels = kernels));
    }
    return this.#kernels === 'loading' ? undefined : this.#kernels;
  }
}

/** @throws MeshError BAD_INPUT */
export function checkedErrorBudget(errorBudget: number): number {
  if (errorBudget >= 0 && errorBudget <= 1) return errorBudget;
  throw new MeshError('BAD_INPUT', `errorBudget is ${errorBudget}, limit 0 to 1`);
}
