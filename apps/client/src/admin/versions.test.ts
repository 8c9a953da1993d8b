import { describe, expect, test } from 'vitest';
import { choices, rollbackTarget, shareOf, type ModelVersion, type ModelVersions } from './versions.ts';

const version = (number: number, more: Partial<ModelVersion> = {}): ModelVersion => ({
  version: number,
  state: 'AVAILABLE',
  code: null,
  reason: null,
  replicas: 1,
  labels: [],
  ...more,
});
const model = (more: Partial<ModelVersions>): ModelVersions => ({
  model: 'm',
  latest: 3,
  policy: { latest: 1 },
  labels: {},
  split: null,
  shadow: null,
  versions: [],
  comparisons: [],
  recording: null,
  configError: null,
  ...more,
});

test('shares are those of the parts that are served', () => {
  const part = (name: string, weight: number, served: number | null) => ({ name, weight, version: served });
  const split = { stickyHeader: 'x', parts: [part('a', 30, 1), part('b', 10, 2), part('c', 60, null)] };
  expect(['a', 'b', 'c', 'd'].map((name) => shareOf(split, name))).toEqual([0.75, 0.25, 0, 0]);
});

test('labels and shares go to versions that are available', () => {
  const versions = [version(4, { state: 'LOADING' }), version(3), version(2, { state: 'END' }), version(1)];
  expect(choices(model({ versions }))).toEqual([3, 1]);
});

describe('a rollback', () => {
  test('leads to the newest below the latest that was not refused, though it is unloaded', () => {
    const refused = version(2, { state: 'END', code: 'MODEL_INVALID' });
    const versions = [version(4, { state: 'LOADING' }), version(3), refused, version(1, { state: 'END' })];
    expect(rollbackTarget(model({ versions }))).toBe(1);
  });

  test('leads nowhere without an earlier version', () => {
    expect(rollbackTarget(model({ versions: [version(3)] }))).toBeNull();
    expect(rollbackTarget(model({ latest: null, versions: [version(3), version(1)] }))).toBeNull();
  });
});
