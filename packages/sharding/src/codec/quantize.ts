/**
 * Float32 to integers of a few bits and back, in single precision throughout, so that every device comes to the same bits:
 *
 *   stored = clamp(roundTiesToEven(value * inverse), -levels or 0, levels) + zero        value' = (stored - zero) * step
 *
 * Zero stays exactly zero. Groups that share a scale: see `groups.ts`; scales: see `scale.ts`.
 */
import { groupOf, type Groups } from './groups.ts';

/** The largest magnitude of each group. */
export interface Maxima {
  /** As the bits of a float32 without its sign; infinities and NaN are at and above 0x7f800000. */
  readonly magnitudeBits: Uint32Array;
  /** Whether any element has its sign bit set. */
  readonly signed: boolean;
}

export function groupMaxima(values: Float32Array, groups: Groups): Maxima {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const magnitudeBits = new Uint32Array(groups.count);
  let all = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const group = groupOf(i, groups);
    all |= word;
    const magnitude = word & 0x7fff_ffff;
    if (magnitude > (magnitudeBits[group] as number)) magnitudeBits[group] = magnitude;
  }
  return { magnitudeBits, signed: all < 0 };
}

/** How integers are stored: `zero` stands for 0, `levels` above it for the end of the range. */
export interface Levels {
  readonly levels: number;
  readonly zero: number;
}

/** Adding and taking away 1.5 * 2^23 in single precision leaves the nearest whole number, ties to even. */
const ROUNDER = 12_582_912;

/** What is to be done with a tensor whose maxima are known. */
export interface QuantizePlan extends Levels {
  /** One per group. */
  readonly inverses: Float32Array;
}

/** @returns one byte an element, or nothing if there is no plan for tensors of such maxima */
export function quantize(
  values: Float32Array,
  groups: Groups,
  planFor: (maxima: Maxima) => QuantizePlan | undefined,
): Uint8Array | undefined {
  const plan = planFor(groupMaxima(values, groups));
  if (plan === undefined) return undefined;
  const { levels, zero, inverses } = plan;
  const stored = new Uint8Array(values.length);
  const least = zero === 0 ? 0 : -levels;
  for (let i = 0; i < values.length; i++) {
    const inverse = inverses[groupOf(i, groups)] as number;
    const units = Math.fround((values[i] as number) * inverse);
    const whole = Math.fround(Math.fround(units + ROUNDER) - ROUNDER);
    stored[i] = Math.min(levels, Math.max(least, whole)) + zero;
  }
  return stored;
}

/** @param steps one per group */
export function dequantize(stored: Uint8Array, groups: Groups, steps: Float32Array, { zero }: Levels): Float32Array {
  const values = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) {
    values[i] = ((stored[i] as number) - zero) * (steps[groupOf(i, groups)] as number);
  }
  return values;
}
