import type { TrafficMessage } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { namedVersions, trafficOf, type VersionConfig, type VersionRecord } from './version-traffic.ts';

const PLAIN: VersionConfig = { policy: { latest: 1 }, labels: {} };
const record = (version: number, replicas: number, isGrowing = false): VersionRecord => ({
  version,
  replicas,
  isGrowing,
});

/** Applies one state of the mesh after another, and tells what was in force after each. */
function course(config: VersionConfig, ...steps: [byPolicy: number[], loaded: VersionRecord[]][]): TrafficMessage[] {
  const told: TrafficMessage[] = [];
  for (const [byPolicy, loaded] of steps) {
    told.push(trafficOf({ model: 'm', config, byPolicy: new Set(byPolicy), loaded, before: told.at(-1) }));
  }
  return told;
}
const latest = (told: TrafficMessage[]): (number | null)[] => told.map((traffic) => traffic.latest);

describe('the latest', () => {
  test('is none before anything is served', () => {
    expect(latest(course(PLAIN, [[1], [record(1, 0, true)]]))).toEqual([null]);
  });

  test('stays until the next can bear as much, and keeps what it replaces until then', () => {
    const told = course(
      PLAIN,
      [[1], [record(1, 10)]],
      [[2], [record(1, 10), record(2, 0, true)]],
      [[2], [record(1, 10), record(2, 8, true)]],
      [[2], [record(1, 10), record(2, 9, true)]],
    );
    expect(latest(told)).toEqual([1, 1, 1, 2]);
    expect(told.map(({ versions }) => versions)).toEqual([[1], [2, 1], [2, 1], [2]]);
  });

  test('is the next when nobody else is on the way to it, and does not go back when one of its nodes leaves', () => {
    const told = course(
      PLAIN,
      [[1], [record(1, 3)]],
      [[2], [record(1, 3), record(2, 1)]],
      [[2], [record(1, 3), record(2, 1, true)]],
    );
    expect(latest(told)).toEqual([1, 2, 2]);
  });

  test('falls back to an older one that the policy wants when the newest is lost, and returns', () => {
    const told = course(
      { ...PLAIN, policy: { latest: 2 } },
      [
        [2, 1],
        [record(1, 2), record(2, 2)],
      ],
      [
        [2, 1],
        [record(1, 2), record(2, 0)],
      ],
      [
        [2, 1],
        [record(1, 2), record(2, 1, true)],
      ],
      [
        [2, 1],
        [record(1, 2), record(2, 2)],
      ],
    );
    expect(latest(told)).toEqual([2, 1, 1, 2]);
  });

  test('goes back to the older one that the policy names, once that is served', () => {
    const told = course(
      { ...PLAIN, policy: { specific: [1] } },
      [[2], [record(2, 2)]],
      [[1], [record(2, 2), record(1, 0, true)]],
      [[1], [record(2, 2), record(1, 2)]],
    );
    expect(latest(told)).toEqual([2, 2, 1]);
    expect(told.at(-1)?.versions).toEqual([1]);
  });

  test('is never a version that only a label, a split or a shadow names', () => {
    const config: VersionConfig = {
      policy: { specific: [1] },
      labels: { canary: 2 },
      shadow: { to: '3', share: 1 },
    };
    const told = course(config, [[1], [record(1, 0), record(2, 1), record(3, 1)]]);
    expect(told[0]).toMatchObject({ latest: null, labels: { canary: 2 }, shadow: { version: 3, share: 1 } });
  });
});

describe('a label', () => {
  test('moves once its version is served, and keeps the former one until then', () => {
    const first: VersionConfig = { ...PLAIN, labels: { stable: 1 } };
    const before = trafficOf({
      model: 'm',
      config: first,
      byPolicy: new Set([2]),
      loaded: [record(1, 1), record(2, 0, true)],
      before: undefined,
    });
    const moved = { ...PLAIN, labels: { stable: 2 } };
    const waiting = trafficOf({
      model: 'm',
      config: moved,
      byPolicy: new Set([2]),
      loaded: [record(1, 1), record(2, 0, true)],
      before,
    });
    expect(waiting).toMatchObject({ labels: { stable: 1 }, versions: [2, 1] });
    const done = trafficOf({
      model: 'm',
      config: moved,
      byPolicy: new Set([2]),
      loaded: [record(1, 1), record(2, 1)],
      before: waiting,
    });
    expect(done).toMatchObject({ labels: { stable: 2 }, versions: [2] });
  });

  test('of a version that is not loaded stands for nothing; of one that nobody serves yet, for that one', () => {
    const told = course({ ...PLAIN, labels: { a: 9, b: 1 } }, [[1], [record(1, 0, true)]]);
    expect(told[0]?.labels).toEqual({ b: 1 });
  });
});

describe('a split', () => {
  const config: VersionConfig = {
    ...PLAIN,
    labels: { stable: 1 },
    split: { stickyHeader: 'x-user', weights: { stable: 90, 2: 10, 3: 0 } },
  };

  test('names versions by label or digits, and loads them', () => {
    expect(namedVersions(config)).toEqual(new Set([1, 2, 3]));
    const told = course(config, [[2], [record(1, 1), record(2, 1), record(3, 1)]]);
    const part = (name: string, version: number, weight: number) => ({ name, version, weight });
    const weights = told[0]?.split?.weights.toSorted((a, b) => a.version - b.version);
    expect(weights).toEqual([part('stable', 1, 90), part('2', 2, 10)]);
  });

  test('gives nothing to a part that is not served, and ends with the last that is', () => {
    const told = course(config, [[2], [record(1, 0), record(2, 1)]], [[2], [record(1, 0), record(2, 0)]]);
    expect(told.map(({ split }) => split?.weights.map(({ version }) => version))).toEqual([[2], undefined]);
  });
});

test('whatever happens: while a wanted version is served there is a latest, it is served, and it is kept', () => {
  const versions = [1, 2, 3, 4];
  const step = fc.record({
    byPolicy: fc.subarray(versions, { minLength: 1 }),
    replicas: fc.tuple(...versions.map(() => fc.nat(3))),
    growing: fc.tuple(...versions.map(() => fc.boolean())),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      let before: TrafficMessage | undefined;
      for (const { byPolicy, replicas, growing } of steps) {
        // What was not kept may be gone; what is wanted is loaded.
        const kept = new Set([...byPolicy, ...(before?.versions ?? [])]);
        const loaded = versions
          .map((version, i) => record(version, replicas[i] ?? 0, growing[i] ?? false))
          .filter(({ version }) => kept.has(version));
        const now = trafficOf({ model: 'm', config: PLAIN, byPolicy: new Set(byPolicy), loaded, before });
        const served = loaded.filter((each) => each.replicas > 0).map(({ version }) => version);
        if (served.some((version) => byPolicy.includes(version))) expect(now.latest).not.toBeNull();
        if (now.latest !== null) {
          expect(served).toContain(now.latest);
          expect(now.versions).toContain(now.latest);
          // It changes for a wanted version only.
          if (now.latest !== before?.latest) expect(byPolicy).toContain(now.latest);
        }
        before = now;
      }
    }),
    { seed: 8, numRuns: 2000 },
  );
});
