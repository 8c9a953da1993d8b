import { DATA_MESSAGE_BYTES_MAX } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { checkProfile, type ModelProfile } from './profile.ts';
import { withSurveys } from './surveyed-profile.ts';

const layer = (computeMs: number) => ({ computeMs, weightBytes: 10, workingBytes: 0 });
const PROFILE: ModelProfile = {
  name: 'm',
  layers: [layer(1), layer(1), layer(4)],
  bytesAtCut: [8, 0, 16, 8],
  legal: [true, false, true, true],
  unknownCuts: [1],
};

describe('withSurveys', () => {
  test('a survey of the whole keeps the sum of costs and makes unknown cuts legal', () => {
    const surveyed = withSurveys(PROFILE, [
      { layers: { start: 0, end: 3 }, layerCosts: [30, 60, 30], bytesAtCut: [8, 24, 99, 8] },
    ]);
    checkProfile(surveyed);
    expect(surveyed.layers.map(({ computeMs }) => computeMs)).toEqual([1.5, 3, 1.5]);
    // What inference knew stays: a run tells one size, inference every row's.
    expect(surveyed.bytesAtCut).toEqual([8, 24, 16, 8]);
    expect(surveyed.legal).toEqual([true, true, true, true]);
    expect(surveyed.unknownCuts).toBeUndefined();
  });

  test('surveys of two stages count against each other, layers that nobody surveyed keep their guess', () => {
    const surveyed = withSurveys(PROFILE, [
      { layers: { start: 0, end: 1 }, layerCosts: [5], bytesAtCut: [8, 24] },
      { layers: { start: 2, end: 3 }, layerCosts: [15], bytesAtCut: [16, 8] },
    ]);
    expect(surveyed.layers.map(({ computeMs }) => computeMs)).toEqual([1.25, 1, 3.75]);
  });

  test('a cut whose row fits no message stays illegal, and is unknown no more', () => {
    const bytesAtCut = [8, DATA_MESSAGE_BYTES_MAX + 1, 16, 8];
    const surveyed = withSurveys(PROFILE, [{ layers: { start: 0, end: 3 }, layerCosts: [1, 1, 1], bytesAtCut }]);
    expect(surveyed.legal).toEqual([true, false, true, true]);
    expect(surveyed.unknownCuts).toBeUndefined();
  });

  test('times that are all zero say nothing', () => {
    const survey = { layers: { start: 0, end: 3 }, layerCosts: [0, 0, 0], bytesAtCut: [8, 24, 16, 8] };
    expect(withSurveys(PROFILE, [survey]).layers).toEqual(PROFILE.layers);
  });

  test.each([
    [{ layers: { start: 2, end: 4 }, layerCosts: [1, 1], bytesAtCut: [1, 1, 1] }, 'no range of 3 layers'],
    [{ layers: { start: 0, end: 2 }, layerCosts: [1], bytesAtCut: [1, 1, 1] }, '2 layers need as many costs'],
  ])('%j is refused', (survey, reason) => {
    expect(() => withSurveys(PROFILE, [survey])).toThrow(reason);
  });
});
