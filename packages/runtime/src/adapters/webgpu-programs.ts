/**
 * Quantizing in WGSL, as programs for tfjs's WebGPU backend. All of a scale is integers: exponents are taken from floats' bits
 * and put there, so that only one multiplication and one rounding are left to the device (`quantize.ts` and `scale.ts` of
 * sharding say what comes out). Everything that differs between tensors is a uniform: each program is compiled once.
 */
import type { WebGPUBackend, WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';
import { BLOCK_ELEMENTS, inverseOf, levelsOf, SCALE_BELOW_MAX, SCALE_TOP_MIN, stepOf } from '@shoal/sharding';
import type { Groups, IntBits } from '@shoal/sharding';
import type { TensorInfo } from '@tensorflow/tfjs';

const LANES = 64;

type Uniforms = { type: string; data: number[] }[];

const int = (...data: number[]): Uniforms[number] => ({ type: 'int32', data });

interface ProgramParts {
  readonly key: string;
  readonly uniforms: string;
  readonly inputs: string[];
  readonly workgroups: number;
  readonly outputs: number;
  readonly code: string;
}

const program = ({ key, uniforms, inputs, workgroups, outputs, code }: ProgramParts): WebGPUProgram => ({
  shaderKey: `shoal-${key}`,
  uniforms,
  variableNames: inputs,
  workgroupSize: [LANES, 1, 1],
  dispatch: [workgroups, 1, 1],
  dispatchLayout: { x: [0] },
  outputShape: [outputs],
  getUserCode: () => code,
});

const MAXIMA = `
var<workgroup> partial : array<vec2<u32>, ${LANES}>;
fn main(index : i32) {
  let group = index / ${LANES};
  let lane = i32(localIndex);
  var greatest = 0u;
  var all = 0u;
  for (var k = lane; k < uniforms.perGroup; k += ${LANES}) {
    let i = group * uniforms.groupStride + k * uniforms.elementStride;
    if (i < uniforms.elements) {
      let word = bitcast<u32>(A[i]);
      all |= word;
      greatest = max(greatest, word & 0x7fffffffu);
    }
  }
  partial[lane] = vec2<u32>(greatest, all);
  workgroupBarrier();
  if (lane == 0 && group < uniforms.groups) {
    for (var other = 1; other < ${LANES}; other++) {
      greatest = max(greatest, partial[other].x);
      all |= partial[other].y;
    }
    result[group] = bitcast<i32>(greatest | (all & 0x80000000u));
  }
}`;

interface Strides {
  readonly groups: number;
  readonly perGroup: number;
  readonly groupStride: number;
  readonly elementStride: number;
}

/** @returns int32 words, one a group: the largest magnitude's bits, and whether any element has its sign bit set on top */
function runMaxima(backend: WebGPUBackend, values: TensorInfo, elements: number, strides: Strides): TensorInfo {
  const { groups, perGroup, groupStride, elementStride } = strides;
  return backend.runWebGPUProgram(
    program({
      key: 'maxima',
      uniforms: 'elements : i32, groups : i32, perGroup : i32, groupStride : i32, elementStride : i32,',
      inputs: ['A'],
      workgroups: groups,
      outputs: groups,
      code: MAXIMA,
    }),
    [values],
    'int32',
    [int(elements), int(groups), int(perGroup), int(groupStride), int(elementStride)],
  );
}

const QUANTIZE = `
fn exponentOf(magnitude : u32) -> i32 {
  let fraction = magnitude & 0x7fffffu;
  var quarter = 0;
  for (var i = 0; i < 4; i++) { quarter += select(0, 1, fraction > uniforms.quarters[i]); }
  return 4 * (i32(magnitude >> 23u) - 127) + quarter;
}
fn storedAt(i : i32) -> u32 {
  if (i >= uniforms.elements) { return 0u; }
  let whole = bitcast<u32>(C[0]);
  let isSigned = (whole >> 31u) == 1u;
  let group = select(i / ${BLOCK_ELEMENTS}, i % max(1, uniforms.channels), uniforms.channels > 0);
  let top = max(${SCALE_TOP_MIN}, exponentOf(whole & 0x7fffffffu));
  let exponent = max(top - ${SCALE_BELOW_MAX}, exponentOf(bitcast<u32>(B[group]) & 0x7fffffffu));
  let constants = select(uniforms.unsignedInverses, uniforms.signedInverses, isSigned);
  let inverse = bitcast<f32>(bitcast<i32>(constants[exponent & 3]) - (exponent >> 2u) * 8388608);
  let levels = select((1 << u32(uniforms.bits)) - 1, (1 << u32(uniforms.bits - 1)) - 1, isSigned);
  let zero = select(0, levels, isSigned);
  let units = clamp(round(A[i] * inverse), f32(-zero), f32(levels));
  return u32(i32(units) + zero);
}
fn main(index : i32) {
  if (index >= uniforms.words) { return; }
  if (index < uniforms.groups) {
    result[uniforms.offset + index] = B[index];
    return;
  }
  let begin = 32 * (index - uniforms.groups);
  var packed = 0u;
  for (var i = begin / uniforms.width; i * uniforms.width < begin + 32; i++) {
    let shift = i * uniforms.width - begin;
    if (shift >= 0) { packed |= storedAt(i) << u32(shift); } else { packed |= storedAt(i) >> u32(-shift); }
  }
  result[uniforms.offset + index] = bitcast<i32>(packed);
}`;

const QUARTERS = [0, 1, 2, 3];
/** Fractions of 2^0, 2^(1/4), 2^(1/2) and 2^(3/4). */
const QUARTER_FRACTIONS = [...new Uint32Array(Float32Array.from(QUARTERS, (i) => stepOf(i, 1)).buffer)].map(
  (bits) => bits & 0x7f_ffff,
);
const inverses = (bits: IntBits, signed: boolean): number[] =>
  QUARTERS.map((i) => inverseOf(i, levelsOf(bits, signed).levels));

/** Words that `runQuantize` writes: one a group, then the integers of `width` bits without gaps. */
export const quantizedWords = ({ elements, count }: Groups, width: number): number =>
  count + Math.ceil((elements * width) / 32);

/**
 * Writes the maxima of the groups, as `runMaxima` gives them, then the integers, packed.
 * @param values float32, one axis
 * @param width bits that an integer takes: 8, or as many as it has
 * @param into int32 words, one axis; what lies there from `offset` on is written
 */
export function runQuantize(
  backend: WebGPUBackend,
  values: TensorInfo,
  groups: Groups,
  { bits, width }: { readonly bits: IntBits; readonly width: number },
  into: TensorInfo,
  offset: number,
): void {
  const { elements, channels, count } = groups;
  const perGroup = channels > 0 ? elements / channels : BLOCK_ELEMENTS;
  const strides =
    channels > 0 ? { groupStride: 1, elementStride: channels } : { groupStride: BLOCK_ELEMENTS, elementStride: 1 };
  const maxima = runMaxima(backend, values, elements, { groups: count, perGroup, ...strides });
  const whole = { groups: 1, perGroup: count, groupStride: 0, elementStride: 1 };
  const greatest = runMaxima(backend, maxima, count, whole);
  const words = quantizedWords(groups, width);
  backend.runWebGPUProgram(
    program({
      key: 'quantize',
      uniforms:
        'elements : i32, groups : i32, channels : i32, bits : i32, width : i32, words : i32, offset : i32, ' +
        'signedInverses : vec4<f32>, unsignedInverses : vec4<f32>, quarters : vec4<u32>,',
      inputs: ['A', 'B', 'C'],
      workgroups: Math.ceil(words / LANES),
      outputs: words,
      code: QUANTIZE,
    }),
    [values, maxima, greatest],
    'int32',
    [
      ...[elements, count, channels, bits, width, words, offset].map((value) => int(value)),
      { type: 'float32', data: inverses(bits, true) },
      { type: 'float32', data: inverses(bits, false) },
      { type: 'uint32', data: QUARTER_FRACTIONS },
    ],
    into,
  );
  backend.disposeData(maxima.dataId);
  backend.disposeData(greatest.dataId);
}

const DEQUANTIZE = `
fn main(index : i32) {
  if (index >= uniforms.outShape) { return; }
  let group = select(index / ${BLOCK_ELEMENTS}, index % max(1, uniforms.channels), uniforms.channels > 0);
  let stored = (bitcast<u32>(A[index / 4]) >> u32(8 * (index % 4))) & 0xffu;
  result[index] = f32(i32(stored) - uniforms.zero) * B[group];
}`;

/**
 * @param stored int32 words of four integers each
 * @param steps float32, one a group
 * @returns float32, one axis
 */
export function runDequantize(
  backend: WebGPUBackend,
  stored: TensorInfo,
  steps: TensorInfo,
  { elements, channels }: Groups,
  zero: number,
): TensorInfo {
  return backend.runWebGPUProgram(
    program({
      key: 'dequantize',
      uniforms: 'channels : i32, zero : i32,',
      inputs: ['A', 'B'],
      workgroups: Math.ceil(elements / LANES),
      outputs: elements,
      code: DEQUANTIZE,
    }),
    [stored, steps],
    'float32',
    [int(channels), int(zero)],
  );
}
