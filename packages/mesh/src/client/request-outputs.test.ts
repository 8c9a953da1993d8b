import {
  elementCount,
  MeshError,
  requestId,
  type DType,
  type EncodedTensor,
  type ResultMessage,
  type Signature,
  type TensorData,
} from '@shoal/protocol';
import { encodeTensor } from '@shoal/sharding';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkOutputs, joinOutputs, readOutputs, type OutputPart } from './request-outputs.ts';

const signatureOf = (outputs: Record<string, DType>): Signature => ({
  inputs: {},
  outputs: Object.fromEntries(
    Object.entries(outputs).map(([name, dtype]) => [name, { dtype, shape: null, tensor: name }]),
  ),
});

const floats = (shape: readonly number[], first = 0): TensorData => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: elementCount(shape) }, (_, i) => first + i),
});

const part = (start: number, end: number, outputs: OutputPart['outputs']): OutputPart => ({ start, end, outputs });

describe('an answer', () => {
  const signature = signatureOf({ y: 'float32' });

  test('has what the signature promises; what else is in it does not matter', () => {
    expect(() => checkOutputs(signature, part(2, 5, { y: floats([3, 2]), z: floats([1]) }), true)).not.toThrow();
    // A request that stays whole may have outputs of any shape.
    expect(() => checkOutputs(signature, part(0, 1, { y: floats([7]) }), false)).not.toThrow();
    expect(() => checkOutputs(signature, part(0, 1, { y: floats([]) }), false)).not.toThrow();
  });

  test.each<[string, OutputPart, string]>([
    ['lacks an output', part(0, 1, {}), `the node's answer lacks output "y"`],
    ['is of another dtype', part(0, 1, { y: { ...floats([1]), dtype: 'int32' } }), 'output "y" came as int32'],
    ['has too few rows', part(0, 3, { y: floats([2, 2]) }), 'output "y" came with 2 rows, expected 3'],
    ['has no rows', part(0, 1, { y: floats([]) }), 'output "y" came with no rows, expected 1'],
  ])('that %s is refused by the name of the output', (_, answer, message) => {
    expect(() => checkOutputs(signature, answer, true)).toThrow(`EXECUTION_FAILED: ${message}`);
  });

  test('has no output by a name that every object has', () => {
    expect(() => checkOutputs(signatureOf({ toString: 'float32' as DType }), part(0, 1, {}), true)).toThrow(
      'lacks output',
    );
  });
});

describe('an answer as it came', () => {
  const signature = signatureOf({ y: 'float32' });
  const rows = { start: 4, end: 6 };
  const read = (encoded: readonly EncodedTensor[], parts = [rows]): OutputPart[] => {
    const result: ResultMessage = {
      type: 'result',
      requestId: requestId('r'),
      microbatch: 0,
      attempt: 1,
      epoch: 1,
      timings: [],
      tensors: encoded.map(({ header }) => header),
    };
    return readOutputs(
      signature,
      parts,
      true,
      result,
      encoded.map(({ data }) => data),
    );
  };

  test('is read into the rows that were asked for', () => {
    expect(read([encodeTensor('y', floats([2, 3]))])).toEqual([{ ...rows, outputs: { y: floats([2, 3]) } }]);
  });

  test('is shared out among those whose rows travelled together, each with memory of its own', () => {
    const parts = [rows, { start: 0, end: 1 }];
    const read3 = read([encodeTensor('y', floats([3, 2]))], parts);
    expect(read3).toEqual([
      { ...rows, outputs: { y: floats([2, 2]) } },
      { start: 0, end: 1, outputs: { y: floats([1, 2], 4) } },
    ]);
    const [first, second] = read3.map(({ outputs }) => outputs['y']?.data as Float32Array);
    expect(first?.buffer.byteLength).toBe(16);
    expect(second?.buffer).not.toBe(first?.buffer);
  });

  test('whose bytes are broken is one node’s failure, and worth another node', () => {
    const { header } = encodeTensor('y', floats([2, 3]));
    const broken: EncodedTensor = { header: { ...header, encoding: 'coded', bytes: 10 }, data: new Uint8Array(10) };
    for (const encoded of [[broken], [], [encodeTensor('y', floats([3, 3]))]]) {
      const error = (() => {
        try {
          return read(encoded);
        } catch (thrown) {
          return thrown;
        }
      })();
      expect(error).toBeInstanceOf(MeshError);
      expect(error).toMatchObject({ code: 'EXECUTION_FAILED', retryable: true });
      expect((error as MeshError).reason).toContain('"y"');
    }
  });
});

describe('parts', () => {
  const signature = signatureOf({ y: 'float32' });

  test('are joined in the order of their rows, whatever order they came in', () => {
    const parts = [
      part(3, 4, { y: floats([1, 2], 6) }),
      part(0, 1, { y: floats([1, 2], 0) }),
      part(1, 3, { y: floats([2, 2], 2) }),
    ];
    expect(joinOutputs(signature, parts)).toEqual({ y: floats([4, 2]) });
    expect(parts[0]?.start).toBe(3);
  });

  test('a single one is handed over as it is', () => {
    const y = floats([3, 2]);
    expect(joinOutputs(signature, [part(0, 3, { y, more: floats([1]) })])).toEqual({ y });
    expect(joinOutputs(signature, [part(0, 3, { y })])['y']).toBe(y);
  });

  test.each<[string, TensorData, TensorData]>([
    ['rows of other sizes that make fewer elements', floats([1, 3]), floats([1, 2])],
    ['rows of other sizes that make more elements', floats([1, 2]), floats([1, 3])],
    ['as many elements in another shape', floats([1, 2, 3]), floats([1, 3, 2])],
    ['another rank', floats([1, 6]), floats([1, 2, 3])],
    ['another dtype', floats([1, 1]), { dtype: 'string', shape: [1, 1], data: ['a'] }],
  ])('%s are not joined', (_, first, second) => {
    expect(() => joinOutputs(signature, [part(0, 1, { y: first }), part(1, 2, { y: second })])).toThrow(
      /^EXECUTION_FAILED: parts of output "y" do not fit each other: float32 \[/,
    );
  });

  test('one without an output is not passed over', () => {
    expect(() => joinOutputs(signature, [part(0, 1, { y: floats([1]) }), part(1, 2, {})])).toThrow(
      'INTERNAL: a part of output "y" is missing',
    );
  });

  test('cut anywhere and in any order, they make the whole, for every dtype', () => {
    const whole = fc.record({
      dtype: fc.constantFrom<DType[]>('float32', 'int32', 'bool', 'string'),
      row: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
      rows: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(whole, fc.array(fc.nat(12), { maxLength: 5 }), fc.nat(), ({ dtype, row, rows }, cuts, turn) => {
        const make = (start: number, end: number): TensorData => {
          const size = elementCount(row);
          const values = Array.from({ length: (end - start) * size }, (_, i) => (start * size + i) % 200);
          const data = {
            float32: () => Float32Array.from(values),
            int32: () => Int32Array.from(values),
            bool: () => Uint8Array.from(values),
            string: () => values.map(String),
          }[dtype]();
          return { dtype, shape: [end - start, ...row], data };
        };
        const bounds = [...new Set([0, ...cuts.filter((cut) => cut < rows), rows])].sort((a, b) => a - b);
        const parts = bounds.slice(0, -1).map((start, i) => {
          const end = bounds[i + 1] ?? rows;
          return part(start, end, { y: make(start, end), z: make(start, end) });
        });
        const turned = [...parts.slice(turn % parts.length), ...parts.slice(0, turn % parts.length)];
        expect(joinOutputs(signatureOf({ y: dtype, z: dtype }), turned)).toEqual({
          y: make(0, rows),
          z: make(0, rows),
        });
      }),
      { seed: 9, numRuns: 200 },
    );
  });
});
