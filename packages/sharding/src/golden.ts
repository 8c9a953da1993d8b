/**
 * Golden vectors: stored inputs with their expected outputs. A node runs them before it serves, so that a wrong
 * backend, driver or download shows itself on numbers that are known and not on a caller's.
 * Who runs them, and when, is not decided here.
 */
import { seededRandom } from '@shoal/base';
import { elementCount } from '@shoal/protocol';
import type { DType, NamedTensors, TensorData } from '@shoal/protocol';

/** A tensor with its values written out, row-major; bool elements are 0 or 1. */
export interface GoldenData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly number[] | readonly string[];
}

/** A float32 tensor that `uniformFloats(seed, count, low, high)` makes: large inputs cost no bytes. */
export interface GoldenSeeded {
  readonly dtype: 'float32';
  readonly shape: readonly number[];
  /** Whole number in [0, 2^32). */
  readonly seed: number;
  readonly low: number;
  readonly high: number;
}

export type GoldenTensor = GoldenData | GoldenSeeded;

/** One proof: on `inputs`, `signature` must answer `outputs` within `relativeTolerance` (see `compareOutputs`). */
export interface GoldenVector {
  readonly signature: string;
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  readonly outputs: Readonly<Record<string, GoldenData>>;
  readonly relativeTolerance: number;
}

/** 64 MiB of float32: above every picture or batch that a self-test needs, below what would hurt a small device. */
export const GOLDEN_ELEMENTS_MAX = 16_777_216;

/**
 * `count` draws, element i being `Math.fround(low + u_i * (high - low))` with u_i the i-th draw in [0, 1) of base's
 * splitmix32 seeded with `seed`. Integer and IEEE double arithmetic alone, so the values are the same on every platform.
 * Rounding to float32 can give `high` itself.
 */
export function uniformFloats(seed: number, count: number, low: number, high: number): Float32Array {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new RangeError(`seed must be a whole number in [0, 2^32), got ${seed}`);
  }
  if (!Number.isInteger(count) || count < 0 || count > GOLDEN_ELEMENTS_MAX) {
    throw new RangeError(`count must be a whole number in [0, ${GOLDEN_ELEMENTS_MAX}], got ${count}`);
  }
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    throw new RangeError(`low and high must be finite and low <= high, got ${low} and ${high}`);
  }
  const random = seededRandom(seed);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = Math.fround(low + random.next() * (high - low));
  return values;
}

/** The tensor that `golden` stands for. Throws RangeError naming the field that is wrong. */
export function goldenInput(golden: GoldenTensor): TensorData {
  const count = checkedCount(golden.shape);
  if ('seed' in golden) {
    // The type says so already; golden vectors come from files that no compiler has seen.
    if (golden.dtype !== 'float32') throw new RangeError('dtype of a seeded tensor must be float32');
    return { dtype: 'float32', shape: golden.shape, data: uniformFloats(golden.seed, count, golden.low, golden.high) };
  }
  if (golden.data.length !== count) {
    throw new RangeError(`data has ${golden.data.length} elements, shape [${golden.shape.join(', ')}] needs ${count}`);
  }
  if (golden.dtype === 'string') return { dtype: 'string', shape: golden.shape, data: checkedStrings(golden.data) };
  const numbers = checkedNumbers(golden.data, golden.dtype);
  return { dtype: golden.dtype, shape: golden.shape, data: ARRAYS[golden.dtype].from(numbers) };
}

/** `goldenInput` for each of a vector's inputs or outputs; an error names the tensor too. */
export function goldenTensors(golden: Readonly<Record<string, GoldenTensor>>): NamedTensors {
  return Object.fromEntries(
    Object.entries(golden).map(([name, tensor]) => {
      try {
        return [name, goldenInput(tensor)];
      } catch (cause) {
        throw new RangeError(`golden tensor "${name}": ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        });
      }
    }),
  );
}

export interface Comparison {
  readonly ok: boolean;
  /** Largest relative difference found; Infinity where no number can be given. */
  readonly worst: number;
  /** The tensor that `worst` belongs to, or the first that cannot be compared. */
  readonly tensor?: string;
  /** Why it is not ok. */
  readonly reason?: string;
}

/**
 * Compares every tensor of `expected` with the one of that name in `actual`; further tensors in `actual` are not looked at.
 * The measure is relative L∞ against the largest magnitude expected: max|actual - expected| / max|expected|. Against a
 * tensor of zeros only zeros are right. Strings must be equal. A NaN or an infinity on either side, a missing tensor,
 * and a different shape or dtype are always wrong.
 */
export function compareOutputs(expected: NamedTensors, actual: NamedTensors, relativeTolerance: number): Comparison {
  let worst: Comparison = { ok: true, worst: 0 };
  for (const [tensor, wanted] of Object.entries(expected)) {
    const found = Object.hasOwn(actual, tensor) ? actual[tensor] : undefined;
    const mismatch = found === undefined ? 'no such output' : describeMismatch(wanted, found);
    if (found === undefined || mismatch !== undefined) {
      return { ok: false, worst: Infinity, tensor, reason: `${tensor}: ${mismatch}` };
    }
    const difference = relativeDifference(wanted, found);
    if (typeof difference === 'string') {
      return { ok: false, worst: Infinity, tensor, reason: `${tensor}: ${difference}` };
    }
    if (difference > worst.worst) worst = { ok: true, worst: difference, tensor };
  }
  // Written so that a tolerance of NaN passes nothing.
  if (worst.worst <= relativeTolerance) return worst;
  return {
    ...worst,
    ok: false,
    reason: `${worst.tensor ?? 'outputs'}: relative difference ${worst.worst.toExponential(2)} exceeds ${relativeTolerance}`,
  };
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

function checkedCount(shape: readonly number[]): number {
  if (shape.some((size) => !Number.isInteger(size) || size < 0)) {
    throw new RangeError(`shape must hold whole numbers >= 0, got [${shape.join(', ')}]`);
  }
  const count = elementCount(shape);
  if (count > GOLDEN_ELEMENTS_MAX) {
    throw new RangeError(
      `shape [${shape.join(', ')}] has ${count} elements, at most ${GOLDEN_ELEMENTS_MAX} are allowed`,
    );
  }
  return count;
}

function checkedStrings(data: readonly (number | string)[]): readonly string[] {
  return data.map((value, i) => {
    if (typeof value !== 'string') throw new RangeError(`data[${i}] must be a string, got ${value}`);
    return value;
  });
}

function checkedNumbers(data: readonly (number | string)[], dtype: 'float32' | 'int32' | 'bool'): readonly number[] {
  return data.map((value, i) => {
    const fits =
      typeof value === 'number' &&
      (dtype === 'float32'
        ? Number.isFinite(Math.fround(value))
        : dtype === 'int32'
          ? value === (value | 0)
          : value === 0 || value === 1);
    if (!fits) throw new RangeError(`data[${i}] is not of dtype ${dtype}: ${value}`);
    return value;
  });
}

function describeMismatch(wanted: TensorData, found: TensorData): string | undefined {
  if (wanted.dtype !== found.dtype) return `dtype is ${found.dtype}, expected ${wanted.dtype}`;
  const sameShape =
    wanted.shape.length === found.shape.length && wanted.shape.every((size, axis) => size === found.shape[axis]);
  if (!sameShape) return `shape is [${found.shape.join(', ')}], expected [${wanted.shape.join(', ')}]`;
  if (wanted.data.length !== found.data.length) {
    return `${found.data.length} elements, expected ${wanted.data.length}`;
  }
  return undefined;
}

/** max|found - wanted| / max|wanted|, or why there is no such number. Both have the same dtype and length. */
function relativeDifference(wanted: TensorData, found: TensorData): number | string {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < wanted.data.length; i++) {
    const want = wanted.data[i];
    const got = found.data[i];
    if (typeof want !== 'number' || typeof got !== 'number') {
      if (want !== got) return `element ${i} is ${JSON.stringify(got)}, expected ${JSON.stringify(want)}`;
      continue;
    }
    if (!Number.isFinite(got)) return `element ${i} is ${got}`;
    if (!Number.isFinite(want)) return `expected element ${i} is ${want}`;
    largest = Math.max(largest, Math.abs(want));
    difference = Math.max(difference, Math.abs(got - want));
  }
  return difference === 0 ? 0 : difference / largest;
}
