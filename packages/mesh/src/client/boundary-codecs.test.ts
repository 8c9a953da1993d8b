import { seededRandom, type Clock } from '@shoal/base';
import type { TensorData } from '@shoal/protocol';
import { decodeTensor, REFERENCE_KERNELS, type CodecKernels } from '@shoal/sharding';
import { expect, test } from 'vitest';
import { BoundaryCodecs } from './boundary-codecs.ts';

const clock: Clock = { nowMs: () => 0, schedule: () => () => {} };
const random = seededRandom(3);
const tensor: TensorData = {
  dtype: 'float32',
  shape: [1, 32, 32, 8],
  data: Float32Array.from({ length: 8192 }, () => random.next()),
};
const SLOW_BYTES_PER_MS = 100;
/** Nothing that takes time to write is worth it. */
const FAST_BYTES_PER_MS = 1_000_000;

const written = (codecs: BoundaryCodecs) => codecs.encode([['x', [tensor]]], 'int6+rans', SLOW_BYTES_PER_MS, clock);

test('writes inputs as they are until kernels are there, fetched at the first wish to code, then by these', async () => {
  let asked = 0;
  let coded = 0;
  let arrive: (kernels: CodecKernels) => void = () => {};
  const coming = new Promise<CodecKernels>((resolve) => (arrive = resolve));
  const codecs = new BoundaryCodecs(() => {
    asked += 1;
    return coming;
  });
  expect(codecs.encode([['x', [tensor]]], 'f32', FAST_BYTES_PER_MS, clock).sent.codec).toBe('f32');
  expect(asked).toBe(0);
  const first = written(codecs);
  expect(first.sent).toMatchObject({ codec: 'f32', bytes: 4 * 8192 });
  expect(decodeTensor(first.encoded[0] as (typeof first.encoded)[number])).toEqual(tensor);
  expect(written(codecs).sent.codec).toBe('f32');
  expect(asked).toBe(1);
  arrive({
    ...REFERENCE_KERNELS,
    quantize: (...given) => {
      coded += 1;
      return REFERENCE_KERNELS.quantize(...given);
    },
  });
  await coming;
  await Promise.resolve();
  expect(written(codecs).sent.codec).toBe('int6+rans');
  expect(coded).toBe(1);
  expect(asked).toBe(1);
});

test('codes by the reference where no kernels can be fetched', async () => {
  const failed = Promise.reject(new Error('no WebAssembly here'));
  const codecs = new BoundaryCodecs(() => failed);
  expect(written(codecs).sent.codec).toBe('f32');
  await failed.catch(() => {});
  await Promise.resolve();
  expect(written(codecs).sent.codec).toBe('int6+rans');
});

test('fetches kernels for a picture too, though it goes as it is: its palette is found by them', async () => {
  const picture: TensorData = {
    dtype: 'float32',
    shape: [1, 128, 128, 3],
    data: new Float32Array(128 * 128 * 3).fill(0.5),
  };
  let palettes = 0;
  const coming = Promise.resolve<CodecKernels>({
    ...REFERENCE_KERNELS,
    encodePalette: (...given) => {
      palettes += 1;
      return REFERENCE_KERNELS.encodePalette(...given);
    },
  });
  const codecs = new BoundaryCodecs(() => coming);
  const write = () => codecs.encode([['x', [picture]]], 'f32', FAST_BYTES_PER_MS, clock);
  const first = write();
  expect(palettes).toBe(0);
  await coming;
  await Promise.resolve();
  expect(write()).toEqual(first);
  expect(palettes).toBe(1);
});

test('rows of several inputs follow one another, and what goes as it is keeps its memory until it is sent', () => {
  const codecs = new BoundaryCodecs(() => new Promise(() => {}));
  const input = (value: number): TensorData => ({
    dtype: 'float32',
    shape: [1, 4096],
    data: Float32Array.from({ length: 4096 }, (_, i) => value + i / 8192),
  });
  const write = (values: readonly number[]) =>
    codecs.encode([['x', values.map(input)]], undefined, FAST_BYTES_PER_MS, clock).encoded;
  const rows = (values: readonly number[]): TensorData => ({
    dtype: 'float32',
    shape: [values.length, 4096],
    data: Float32Array.from(values.flatMap((value) => [...(input(value).data as Float32Array)])),
  });
  const first = write([1, 2, 3]);
  const second = write([4, 5, 6]);
  expect(first.map((encoded) => decodeTensor(encoded))).toEqual([rows([1, 2, 3])]);
  expect(second.map((encoded) => decodeTensor(encoded))).toEqual([rows([4, 5, 6])]);
  codecs.reuse(first.map(({ data }) => data));
  const third = write([7, 8, 9]);
  expect(third[0]?.data.buffer).toBe(first[0]?.data.buffer);
  expect(third.map((encoded) => decodeTensor(encoded))).toEqual([rows([7, 8, 9])]);
  expect(second.map((encoded) => decodeTensor(encoded))).toEqual([rows([4, 5, 6])]);
});
