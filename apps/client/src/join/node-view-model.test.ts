import { peerId } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { NodeModelStatus, NodePhase, NodeSnapshot } from '../shared/sdk.ts';
import { join as strings } from '../strings/strings.ts';
import {
  downloadProgress,
  downloadRate,
  joinedShare,
  modelsHeld,
  neighbours,
  screenOf,
  selfTestCount,
  sharesOf,
} from './node-view-model.ts';

const MIB = 2 ** 20;

const model = (change: Partial<NodeModelStatus> = {}): NodeModelStatus => ({
  model: 'digits',
  version: 1,
  state: 'fetching',
  bytesDone: 0,
  bytesTotal: 0,
  bytesFrom: { cache: 0, coordinator: 0, peers: [] },
  selfTestPassed: 0,
  selfTestTotal: 0,
  msPerRow: null,
  reason: null,
  ...change,
});

const snapshot = (phase: NodePhase, models: readonly NodeModelStatus[] = []): NodeSnapshot => ({
  phase,
  code: 'IDLE',
  reason: '',
  name: 'desk',
  peerId: null,
  mesh: null,
  backend: null,
  backends: [],
  memoryBytesMax: 0,
  models,
  microbatchesDone: 0,
  rowsDone: 0,
  links: [],
});

describe('screenOf', () => {
  it.each([
    ['measuring', 'preparing'],
    ['joining', 'preparing'],
    ['fetching', 'preparing'],
    ['testing', 'preparing'],
    ['waiting', 'serving'],
    ['working', 'serving'],
    ['draining', 'serving'],
    ['reconnecting', 'serving'],
    ['stopped', 'over'],
    ['failed', 'failed'],
  ] as const)('%s is %s', (phase, screen) => expect(screenOf(snapshot(phase))).toBe(screen));
  it('stays serving while a further model is fetched', () => {
    expect(screenOf(snapshot('fetching', [model({ state: 'ready' }), model()]))).toBe('serving');
  });
});

describe('download', () => {
  it('sums bytes over models and knows no share without a total', () => {
    expect(downloadProgress([])).toEqual({ bytesDone: 0, bytesTotal: 0, share: null });
    expect(
      downloadProgress([model({ bytesDone: 30, bytesTotal: 60 }), model({ bytesDone: 0, bytesTotal: 40 })]),
    ).toEqual({
      bytesDone: 30,
      bytesTotal: 100,
      share: 0.3,
    });
  });
  it('measures speed from what was there at the start: cached bytes were not downloaded', () => {
    const progress = { bytesDone: 3000, bytesTotal: 5000, share: 0.6 };
    expect(downloadRate(progress, 1000, 2000)).toEqual({ bytesPerSecond: 1000, leftMs: 2000 });
    expect(downloadRate(progress, 3000, 0)).toEqual({ bytesPerSecond: 0, leftMs: null });
  });
});

it('brings the own fish nearer from phase to phase', () => {
  const half = [model({ bytesDone: 50, bytesTotal: 100 })];
  const shares = [
    joinedShare(null),
    joinedShare(snapshot('measuring')),
    joinedShare(snapshot('joining')),
    joinedShare(snapshot('fetching', half)),
    joinedShare(snapshot('testing', half)),
    joinedShare(snapshot('waiting', half)),
  ];
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  expect(shares.at(-1)).toBe(1);
});

it('counts golden vectors and ready models', () => {
  const models = [
    model({ state: 'ready', selfTestPassed: 4, selfTestTotal: 4 }),
    model({ selfTestPassed: 1, selfTestTotal: 8 }),
  ];
  expect(selfTestCount(models)).toEqual({ passed: 5, total: 12 });
  expect(modelsHeld(models)).toBe(1);
});

it('sums up the neighbours: kinds once each, the middle round trip', () => {
  const link = (kind: string, rttMs: number | null) => ({
    peer: 'p' as NodeSnapshot['links'][number]['peer'],
    kind,
    rttMs,
    bytesSent: 0,
    bytesReceived: 0,
  });
  expect(neighbours([])).toEqual({ links: 0, kinds: [], rttMs: null });
  expect(neighbours([link('direct', 8), link('relayed', null), link('direct', 2), link('direct', 5)])).toEqual({
    links: 4,
    kinds: ['direct', 'relayed'],
    rttMs: 5,
  });
});

describe('sharesOf', () => {
  it('adds up what neighbours gave, and says it in one line', () => {
    const peers = [
      { peer: peerId('a'), bytes: 10 * MIB },
      { peer: peerId('b'), bytes: 8 * MIB },
    ];
    const shares = sharesOf(model({ bytesFrom: { cache: 0, coordinator: 4.4 * MIB, peers } }));
    expect(shares).toEqual({ cache: 0, coordinator: 4.4 * MIB, peers: 18 * MIB, neighbours: 2 });
    expect(strings.bytesFrom(shares)).toBe('18 MiB from 2 neighbours and 4.4 MiB from the coordinator');
    expect(strings.bytesFrom(sharesOf(model()))).toBe('');
  });
});
