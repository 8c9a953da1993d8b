/**
 * Which of the codecs that a piece of work allows is written on one link: the one that gets the tensors across soonest. How
 * faithful a codec is was settled before, by the caller's error budget; here only time counts, as measured on this very link
 * and device, so that none is used that takes longer than it saves.
 */
import { CODECS, codecName } from '../codec/codec-spec.ts';

/** Until a link has shown its rate: 100 Mbit/s. */
export const BYTES_PER_MS_ASSUMED = 12_500;
/** Figures follow what is new by this share. */
const SMOOTHING = 0.25;
/** A codec's first runs are slow, and links change: now and then one that is not the best is tried again. */
const TRY_AGAIN_EVERY = 32;
/** Times that a codec is tried before its figures count. */
const TRIALS = 2;
/** With what is there sooner than this nothing else is tried: a first trial may take longer than it could ever save. */
const QUICK_MS = 20;
/** What entropy coding is taken to cost before it was tried, at each end: 20 MB/s. Packing costs next to nothing. */
const ENTROPY_MS_PER_BYTE_ASSUMED = 1 / 20_000;
const isEntropyCoded = (codec: string): boolean => codec === 'exact' || codec.endsWith('+rans');
/** Nor are first trials made on more bytes than this. */
const TRIAL_BYTES_MAX = 2 * 1024 * 1024;
/** Whoever decodes takes about as long as whoever encoded. */
const BOTH_ENDS = 2;

/** Tensors of fewer bytes than this are sent as they are. */
const WORTHWHILE_BYTES = 4096;

/**
 * Names of the codecs that may stand in for one: it, the same without entropy coding, and the lossless ones. The first is
 * the one to begin with. A name that this software does not know allows no loss.
 */
export function allowedCodecs(leastFaithful: string | undefined): readonly string[] {
  const spec = leastFaithful === undefined ? undefined : CODECS.get(leastFaithful);
  if (spec?.kind === 'f16') return ['f16', 'f32', 'exact'];
  if (spec?.kind !== 'int') return ['f32', 'exact'];
  const packed = codecName({ ...spec, entropy: false });
  return spec.entropy ? [codecName(spec), packed, 'f32', 'exact'] : [packed, 'f32', 'exact'];
}

export interface CodecTrial {
  /** Bytes as float32, and as written. */
  readonly plainBytes: number;
  readonly bytes: number;
  readonly encodeMs: number;
}

interface Experience {
  trials: number;
  bytesRatio: number;
  encodeMsPerByte: number;
}

export class CodecPicker {
  readonly #known = new Map<string, Experience>();
  #picks = 0;

  /**
   * @param allowed names of codecs, the one to begin with first
   * @param plainBytes what is to be written takes before it is
   * @param bytesPerMs the link's measured rate, null while it is unknown
   */
  pick(allowed: readonly string[], plainBytes: number, bytesPerMs: number | null): string {
    if (plainBytes < WORTHWHILE_BYTES) return 'f32';
    const [first] = allowed;
    if (first === undefined) throw new RangeError('no codec is allowed');
    this.#picks += 1;
    const rate = bytesPerMs ?? BYTES_PER_MS_ASSUMED;
    const tried = allowed.filter((codec) => (this.#known.get(codec)?.trials ?? 0) >= TRIALS);
    const best = tried.reduce<string | undefined>(
      (found, codec) =>
        found === undefined || this.#msPerByte(codec, rate) < this.#msPerByte(found, rate) ? codec : found,
      undefined,
    );
    if (best === undefined || !tried.includes(first)) return first;
    const bestMsPerByte = this.#msPerByte(best, rate);
    const worthTrying = allowed.find(
      (codec) =>
        !tried.includes(codec) && bestMsPerByte > (isEntropyCoded(codec) ? BOTH_ENDS * ENTROPY_MS_PER_BYTE_ASSUMED : 0),
    );
    const isSlow = bestMsPerByte * plainBytes > QUICK_MS;
    if (worthTrying !== undefined && isSlow && plainBytes <= TRIAL_BYTES_MAX) return worthTrying;
    if (this.#picks % TRY_AGAIN_EVERY !== 0) return best;
    // What takes longer to write than the best takes to be there cannot win, whatever its bytes.
    const rivals = tried.filter((codec) => this.#encodeMsPerByte(codec) * BOTH_ENDS < bestMsPerByte);
    return rivals[(this.#picks / TRY_AGAIN_EVERY) % rivals.length] ?? best;
  }

  learn(codec: string, { plainBytes, bytes, encodeMs }: CodecTrial): void {
    if (plainBytes < WORTHWHILE_BYTES) return;
    const bytesRatio = bytes / plainBytes;
    const encodeMsPerByte = encodeMs / plainBytes;
    const known = this.#known.get(codec);
    if (known === undefined || known.trials < TRIALS) {
      // What is compiled at first use is no measure: the latest of the trials counts.
      this.#known.set(codec, { trials: (known?.trials ?? 0) + 1, bytesRatio, encodeMsPerByte });
      return;
    }
    known.bytesRatio += SMOOTHING * (bytesRatio - known.bytesRatio);
    known.encodeMsPerByte += SMOOTHING * (encodeMsPerByte - known.encodeMsPerByte);
  }

  #encodeMsPerByte(codec: string): number {
    return this.#known.get(codec)?.encodeMsPerByte ?? Infinity;
  }

  /** Time for a plain byte to be written, carried and read. */
  #msPerByte(codec: string, bytesPerMs: number): number {
    const known = this.#known.get(codec);
    if (known === undefined) return Infinity;
    return BOTH_ENDS * known.encodeMsPerByte + known.bytesRatio / bytesPerMs;
  }
}
