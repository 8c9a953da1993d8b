import { describe, expect, test } from 'vitest';
import type { ModelProfile } from '../placement/profile.ts';
import { cutsToMeasure } from './codec-table.ts';

/** Layers of a millisecond each; every cut is legal but those named. */
function profileOf(bytesAtCut: readonly number[], illegal: readonly number[] = []): ModelProfile {
  return {
    name: 'chain',
    layers: bytesAtCut.slice(1).map(() => ({ computeMs: 1, weightBytes: 0, workingBytes: 0 })),
    bytesAtCut,
    legal: bytesAtCut.map((_, cut) => !illegal.includes(cut)),
  };
}

describe('cuts worth measuring', () => {
  test('are all legal ones of a model that has few, so that wherever it is cut its budget counts', () => {
    expect(cutsToMeasure(profileOf([9, 8, 7, 6, 5, 4, 3], [2]), 4)).toEqual([0, 1, 3, 4, 5]);
  });

  test('are of a model that has many those that the fewest bytes cross, one in each stretch of like time', () => {
    expect(cutsToMeasure(profileOf([9, 8, 2, 7, 6, 1, 5, 4, 3]), 4)).toEqual([0, 1, 2, 5, 7]);
  });
});
