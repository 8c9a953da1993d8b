import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  encodeMessage,
  peerId,
  requestId,
  type DType,
  type ModelInfo,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
  type TensorValues,
} from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTensor } from './codec/coded-tensor.ts';
import { checkInputs, joinRows, rowsOf, signatureOf } from './request-inputs.ts';

const MIB = 1024 * 1024;

const spec = (shape: readonly number[] | null, dtype: DType = 'float32'): TensorSpec => ({ dtype, shape, tensor: 't' });
const floats = (shape: readonly number[]): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: elementCount(shape) }, (_, i) => i),
});
const strings = (texts: readonly string[], shape: readonly number[] = [texts.length]): TensorData => ({
  dtype: 'string',
  shape,
  data: texts,
});

function infoOf(signature: Signature, rowsIndependent = true): ModelInfo {
  return {
    model: 'm',
    version: 1,
    signatures: { serving_default: signature },
    classNames: null,
    rowsIndependent,
    weightBytes: 0,
  };
}

/** Checks inputs against specs of inputs, and of one output. */
function check(
  inputs: Record<string, TensorSpec>,
  tensors: NamedTensors,
  { rowsIndependent = true, output = spec([-1, 2]) } = {},
) {
  const signature = { inputs, outputs: { y: output } };
  return checkInputs(infoOf(signature, rowsIndependent), signature, tensors);
}

describe('what is refused, by field and limit', () => {
  const x = { x: spec([-1, 3]) };

  test.each<[string, Record<string, TensorSpec>, NamedTensors, string]>([
    ['an unknown input', x, { x: floats([1, 3]), z: floats([1]) }, `input "z" is not one of the model's: x`],
    ['a name of every object', x, { x: floats([1, 3]), toString: floats([1]) }, `input "toString" is not one`],
    ['a missing input', { ...x, y: spec([-1]) }, { x: floats([1, 3]) }, 'input "y" is missing'],
    ['another dtype', x, { x: strings(['a']) }, 'input "x": dtype is string, expected float32'],
    ['another rank', x, { x: floats([3]) }, 'input "x": shape is [3], expected [-1,3]'],
    ['another size', x, { x: floats([2, 4]) }, 'input "x": shape is [2,4], expected [-1,3]'],
    [
      'less data than its shape',
      x,
      { x: { ...floats([2, 3]), data: new Float32Array(5) } },
      'input "x": data has 5 elements, shape [2,3] needs 6',
    ],
    [
      'a dimension that is no whole number',
      { x: spec(null) },
      { x: { ...floats([1]), shape: [Number.NaN] } },
      'input "x": shape has a dimension of NaN, limit a whole number up to 2147483647',
    ],
    [
      'a negative dimension where any would do',
      x,
      { x: { ...floats([1, 3]), shape: [-1, 3] } },
      'input "x": shape has a dimension of -1',
    ],
    [
      'a dimension that the wire cannot write',
      { x: spec(null) },
      { x: { ...floats([0]), shape: [2 ** 31, 0] } },
      'input "x": shape has a dimension of 2147483648',
    ],
    ['too high a rank', { x: spec(null) }, { x: floats(Array(9).fill(1)) }, 'input "x": rank is 9, limit 8'],
    [
      'batches of different size',
      { x: spec([-1]), y: spec([-1]) },
      { x: floats([2]), y: floats([3]) },
      'inputs differ in their batch size: x: 2, y: 3',
    ],
  ])('%s', (_, inputs, tensors, message) => {
    expect(() => check(inputs, tensors)).toThrow(`BAD_INPUT: ${message}`);
  });

  test.each<[DType, unknown, string]>([
    ['float32', [1, 2, 3], 'Float32Array'],
    ['float32', new Float64Array(3), 'Float32Array'],
    // The same number of bytes, of another meaning.
    ['float32', new Int32Array(3), 'Float32Array'],
    ['int32', new Float32Array(3), 'Int32Array'],
    ['bool', new Int8Array(3), 'Uint8Array'],
    ['bool', new Uint8ClampedArray(3), 'Uint8Array'],
    ['string', new Uint8Array(3), 'array of strings'],
    ['string', ['a', 2, 'c'], 'array of strings'],
    ['float32', null, 'Float32Array'],
    ['float32', undefined, 'Float32Array'],
    ['float32', new ArrayBuffer(12), 'Float32Array'],
    ['float32', { length: 3, [Symbol.toStringTag]: 'Float32Array' }, 'Float32Array'],
  ])('%s data that is something else', (dtype, data, expected) => {
    const tensors = { x: { dtype, shape: [3], data: data as TensorValues } };
    expect(() => check({ x: spec([-1], dtype) }, tensors)).toThrow(
      `BAD_INPUT: input "x": data is no ${expected}, as dtype ${dtype} needs`,
    );
  });

  test('one row that no message can carry', () => {
    const tensors = { x: floats([2, 4 * MIB]) };
    expect(() => check({ x: spec([-1, -1]) }, tensors)).toThrow(
      `TOO_LARGE: one row of the inputs has ${16 * MIB} bytes, limit ${DATA_MESSAGE_BYTES_MAX - 65_536} bytes`,
    );
  });

  test('a whole request that no message can carry, where rows may not travel apart', () => {
    const tensors = { x: floats([2, 2 * MIB]) };
    expect(() => check({ x: spec([-1, -1]) }, tensors, { rowsIndependent: false })).toThrow(
      `TOO_LARGE: the inputs have ${16 * MIB} bytes`,
    );
    expect(check({ x: spec([-1, -1]) }, tensors).rowsMax).toBe(1);
  });

  test('a signature that the model does not have', () => {
    const info = infoOf({ inputs: {}, outputs: {} });
    expect(() => signatureOf(info, 'classify')).toThrow(
      'SIGNATURE_NOT_FOUND: model m has no signature "classify", it has: serving_default',
    );
    expect(() => signatureOf(info, 'constructor')).toThrow('SIGNATURE_NOT_FOUND');
  });
});

describe('how a request may be cut', () => {
  test('by the first dimension that all inputs share', () => {
    const tensors = { x: floats([5, 3]), y: strings(['a', 'b', 'c', 'd', 'e']) };
    const checked = check({ x: spec([-1, 3]), y: spec([-1], 'string') }, tensors);
    expect([checked.rows, checked.splittable]).toEqual([5, true]);
  });

  test.each<[string, NamedTensors, boolean]>([
    ['rows depend on each other', { x: floats([5, 3]) }, false],
    ['the input is a scalar', { x: floats([]) }, true],
    ['the batch is empty', { x: floats([0, 3]) }, true],
  ])('not at all where %s', (_, tensors, rowsIndependent) => {
    const checked = check({ x: spec(null) }, tensors, { rowsIndependent });
    expect([checked.rows, checked.splittable]).toEqual([1, false]);
  });

  test('into messages that hold the rows of the outputs as well, where their size is known', () => {
    const tensors = { x: floats([100, 3]) };
    const output = spec([-1, 1024, 1024]);
    expect(check({ x: spec([-1, 3]) }, tensors, { output }).rowsMax).toBe(3);
    expect(check({ x: spec([-1, 3]) }, tensors, { output: spec([-1, -1, 1024]) }).rowsMax).toBeGreaterThan(100);
    expect(check({ x: spec([-1, 3]) }, tensors, { output: spec(null) }).rowsMax).toBeGreaterThan(100);
    // Larger than a message by itself: sent row by row, so that the node can say so.
    expect(check({ x: spec([-1, 3]) }, tensors, { output: spec([-1, 8 * MIB]) }).rowsMax).toBe(1);
  });

  test('by the largest row, where rows differ in size', () => {
    const long = 'x'.repeat(3 * MIB);
    const texts = [long, long, long, ...Array<string>(997).fill('')];
    const checked = check({ x: spec([-1], 'string') }, { x: strings(texts) });
    expect(checked.rowsMax).toBe(1);
  });

  test('never into more than one message carries', () => {
    const tensors = fc.record({
      rows: fc.integer({ min: 1, max: 40 }),
      floatElements: fc.integer({ min: 0, max: 400_000 }),
      texts: fc.array(fc.integer({ min: 0, max: 900_000 }), { minLength: 40, maxLength: 40 }),
    });
    fc.assert(
      fc.property(tensors, ({ rows, floatElements, texts }) => {
        const given: NamedTensors = {
          x: { dtype: 'float32', shape: [rows, floatElements], data: new Float32Array(rows * floatElements) },
          t: strings(texts.slice(0, rows).map((length) => 'ü'.repeat(length))),
        };
        const { rowsMax } = check({ x: spec([-1, -1]), t: spec([-1], 'string') }, given);
        // The most that may travel together, wherever it lies.
        const starts = [0, Math.max(0, rows - rowsMax)];
        for (const start of starts) {
          const encoded = Object.entries(given).map(([name, tensor]) =>
            encodeTensor(name, rowsOf(tensor, start, Math.min(rows, start + rowsMax))),
          );
          const message = {
            type: 'result',
            requestId: requestId('r'),
            microbatch: 0,
            attempt: 1,
            epoch: 1,
            timings: [{ stage: 0, node: peerId('n'), rows, queueMs: 0, computeMs: 0 }],
            tensors: encoded.map(({ header }) => header),
          } as const;
          encodeMessage(
            { ...message, timings: [...message.timings] },
            encoded.map(({ data }) => data),
          );
        }
      }),
      { seed: 11, numRuns: 15 },
    );
  });
});

describe('rows of a tensor', () => {
  test('typed data is a view, and the whole tensor is itself', () => {
    const tensor = floats([4, 2]);
    const part = rowsOf(tensor, 1, 3);
    expect(part).toEqual({ dtype: 'float32', shape: [2, 2], data: Float32Array.of(2, 3, 4, 5) });
    expect((part.data as Float32Array).buffer).toBe((tensor.data as Float32Array).buffer);
    expect(rowsOf(tensor, 0, 4)).toBe(tensor);
  });

  test('cut anywhere and joined again they are the tensor, for every dtype and shape', () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom<DType[]>('float32', 'int32', 'bool', 'string'),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
        rows: fc.integer({ min: 1, max: 9 }),
      })
      .map(({ dtype, shape, rows }): TensorData => {
        const full = [rows, ...shape];
        const values = Array.from({ length: elementCount(full) }, (_, i) => i % 251);
        const data = {
          float32: () => Float32Array.from(values, (value) => value / 7),
          int32: () => Int32Array.from(values, (value) => -value),
          bool: () => Uint8Array.from(values, (value) => value % 2),
          string: () => values.map((value) => `text ${value}`),
        }[dtype]();
        return { dtype, shape: full, data };
      });
    fc.assert(
      fc.property(tensor, fc.array(fc.nat(9), { maxLength: 4 }), (whole, cuts) => {
        const [rows = 0, ...rest] = whole.shape;
        const bounds = [0, ...cuts.map((cut) => Math.min(cut, rows)), rows].sort((a, b) => a - b);
        const parts: TensorData[] = [];
        for (const [i, start] of bounds.slice(0, -1).entries()) {
          const end = bounds[i + 1] ?? rows;
          const part = rowsOf(whole, start, end);
          expect(part.shape).toEqual([end - start, ...rest]);
          expect(part.data.length).toBe(elementCount(part.shape));
          parts.push(part);
        }
        expect(joinRows(parts)).toEqual(whole);
      }),
      { seed: 5, numRuns: 200 },
    );
  });
});
