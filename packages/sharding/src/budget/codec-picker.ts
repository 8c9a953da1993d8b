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
/**
 * What entropy coding is taken to cost before it was tried, at each end: 200 MB/s, as it shows in its second trial, which counts. Its
 * first is at half of that, later ones at two to three times. Packing costs next to nothing.
 */
const ENTROPY_MS_PER_BYTE_ASSUMED = 1 / 200_000;
/** Packing takes more bytes than entropy coding the same integers: 1.3 times at the median cut, hardly anywhere less than this. */
const PACKED_OVER_ENTROPY_LEAST = 1.1;
/** No codec without loss has been seen to save more of real activations. */
const EXACT_RATIO_LEAST = 0.1;
const PLAIN_BITS = 32;
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
  /** What is not coded needs no trial: its bytes are known, and it costs next to nothing to write. */
  readonly #known = new Map<string, Experience>([['f32', { trials: TRIALS, bytesRatio: 1, encodeMsPerByte: 0 }]]);
  #picks = 0;

  /**
   * @param allowed names of codecs, the one to begin with first
   * @param plainBytes what is to be written takes before it is; null while nobody knows
   * @param bytesPerMs the link's measured rate, null while it is unknown
   */
  pick(allowed: readonly string[], plainBytes: number | null, bytesPerMs: number | null): string {
    const [first] = allowed;
    if (first === undefined) throw new RangeError('no codec is allowed');
    // Coding what turns out to be small costs little; what turns out to be large may take seconds as it is.
    if (plainBytes === null) return first;
    if (plainBytes < WORTHWHILE_BYTES) return 'f32';
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
      (codec) => !tried.includes(codec) && this.#leastMsPerByte(codec, rate) < bestMsPerByte,
    );
    const isSlow = bestMsPerByte * plainBytes > QUICK_MS;
    if (worthTrying !== undefined && isSlow && plainBytes <= TRIAL_BYTES_MAX) return worthTrying;
    if (this.#picks % TRY_AGAIN_EVERY !== 0) return best;
    // What takes longer to write, or longer to carry, than the best takes to be there cannot win.
    const rivals = tried.filter((codec) => {
      const { encodeMsPerByte = Infinity, bytesRatio = 1 } = this.#known.get(codec) ?? {};
      return encodeMsPerByte * BOTH_ENDS < bestMsPerByte && bytesRatio / rate <= bestMsPerByte;
    });
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

  /** Time for a plain byte to be written, carried and read. */
  #msPerByte(codec: string, bytesPerMs: number): number {
    const known = this.#known.get(codec);
    if (known === undefined) return Infinity;
    return BOTH_ENDS * known.encodeMsPerByte + known.bytesRatio / bytesPerMs;
  }

  /** The soonest that a plain byte could be there by a codec that was not tried. */
  #leastMsPerByte(codec: string, bytesPerMs: number): number {
    const spec = CODECS.get(codec);
    const entropyMs = BOTH_ENDS * ENTROPY_MS_PER_BYTE_ASSUMED;
    switch (spec?.kind) {
      case 'exact':
        return entropyMs + EXACT_RATIO_LEAST / bytesPerMs;
      case 'f16':
        return 16 / PLAIN_BITS / bytesPerMs;
      case 'int': {
        if (spec.entropy) return entropyMs;
        const plain = spec.bits / PLAIN_BITS;
        const same = this.#known.get(codecName({ ...spec, entropy: true }));
        return Math.min(plain, PACKED_OVER_ENTROPY_LEAST * (same?.bytesRatio ?? plain)) / bytesPerMs;
      }
      case 'f32':
      case undefined:
        return 1 / bytesPerMs;
    }
  }
}
