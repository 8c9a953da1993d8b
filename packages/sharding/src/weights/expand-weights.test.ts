import { describe, expect, test } from 'vitest';
import { expandWeights, type WeightEntry } from './expand-weights.ts';
import { expandChannels, quantizeChannels } from './quantize-weight.ts';

const bias: WeightEntry = { name: 'bias', dtype: 'float32', shape: [2] };
const biasBytes = new Uint8Array(Float32Array.from([1.5, -2]).buffer);

describe('expandWeights', () => {
  test('gives back the very same where nothing is to be expanded', () => {
    const entries = [bias];
    const expanded = expandWeights(entries, biasBytes);
    expect(expanded.entries).toBe(entries);
    expect(expanded.bytes).toBe(biasBytes);
  });

  test('expands channels and leaves what stands around them as it is, at odd offsets too', () => {
    const kernelValues = Float32Array.from([1, -8, 0.5, 4, -0.25, 6]);
    for (const dtype of ['uint8', 'uint16'] as const) {
      const { stored, quantization } = quantizeChannels(kernelValues, [3, 2], 1, dtype);
      const flag: WeightEntry = { name: 'flag', dtype: 'bool', shape: [1] };
      const words: WeightEntry = { name: 'words', dtype: 'string', shape: [2] };
      const kernel: WeightEntry = { name: 'kernel', dtype: 'float32', shape: [3, 2], quantization };
      const wordBytes = [2, 0, 0, 0, 104, 105, 0, 0, 0, 0];
      const storedBytes = new Uint8Array(stored.slice().buffer);
      const bytes = Uint8Array.from([...wordBytes, 1, ...storedBytes, ...biasBytes]);
      const expanded = expandWeights([words, flag, kernel, bias], bytes);
      expect(expanded.entries).toEqual([words, flag, { name: 'kernel', dtype: 'float32', shape: [3, 2] }, bias]);
      const expected = new Uint8Array(expandChannels(stored, [3, 2], quantization).buffer);
      expect([...expanded.bytes]).toEqual([...wordBytes, 1, ...expected, ...biasBytes]);
    }
  });

  test('bytes that end too early are named', () => {
    const { quantization } = quantizeChannels(new Float32Array(6), [3, 2], 1, 'uint8');
    const kernel: WeightEntry = { name: 'kernel', dtype: 'float32', shape: [3, 2], quantization };
    expect(() => expandWeights([kernel], new Uint8Array(5))).toThrow('the weight bytes end inside "kernel"');
  });
});
