/** A node that computes nothing: it walks through the phases so that the join page can be looked at. Not shipped. */
import { MeshError, peerId, REASONS, type BackendReport } from '@shoal/protocol';
import type { ContributedNode, ContributeOptions, NodeModelStatus, NodePhase, NodeSnapshot } from '../shared/sdk.ts';

const BACKENDS: readonly BackendReport[] = [
  { backend: 'webgpu', ok: true, runMs: 41.8 },
  { backend: 'wasm', ok: true, runMs: 6.2 },
  { backend: 'webgl', ok: false, runMs: null, reason: 'WebGL is not available in a worker here' },
  { backend: 'cpu', ok: true, runMs: 310 },
];

const MODELS: readonly NodeModelStatus[] = [
  ['half_plus_two', 8, 3, 0.02] as const,
  ['digits', 421_640, 10, 0.61] as const,
  ['mobilenet_v2', 2_726_298, 4, 104.8] as const,
].map(([model, bytesTotal, selfTestTotal, msPerRow]) => ({
  model,
  version: 1,
  state: 'ready',
  bytesDone: bytesTotal,
  bytesTotal,
  bytesFrom: {
    cache: 0,
    coordinator: Math.round(bytesTotal / 5),
    peers: [
      { peer: peerId('a'), bytes: Math.round(bytesTotal / 2) },
      { peer: peerId('b'), bytes: bytesTotal - Math.round(bytesTotal / 5) - Math.round(bytesTotal / 2) },
    ],
  },
  selfTestPassed: selfTestTotal,
  selfTestTotal,
  msPerRow,
  reason: null,
}));

const CODES = {
  measuring: 'SELF_TESTING',
  joining: 'IDLE',
  fetching: 'FETCHING',
  testing: 'SELF_TESTING',
  waiting: 'IDLE',
  working: 'IDLE',
  draining: 'DRAINING',
  reconnecting: 'COORDINATOR_LOST',
  stopped: 'CLOSED',
  failed: 'SELF_TEST_FAILED',
} as const satisfies Record<NodePhase, keyof typeof REASONS>;

/** The node as it looks in one phase. */
export function snapshotIn(phase: NodePhase, name = 'kitchen tablet'): NodeSnapshot {
  const early = phase === 'measuring' || phase === 'joining';
  const models = MODELS.map((model): NodeModelStatus => {
    if (phase === 'fetching') {
      const share = model.model === 'mobilenet_v2' ? 0.42 : 1;
      return {
        ...model,
        state: 'fetching',
        bytesDone: Math.round(model.bytesTotal * share),
        selfTestPassed: 0,
        msPerRow: null,
      };
    }
    return phase === 'testing' ? { ...model, state: 'testing', selfTestPassed: 2, msPerRow: null } : model;
  });
  const code = CODES[phase];
  return {
    phase,
    code,
    reason: phase === 'failed' ? 'digits: output 3 differs by 4 % from the stored one' : REASONS[code].meaning,
    name,
    peerId: early ? null : peerId('fake'),
    mesh: early ? null : 'Reef',
    backend: phase === 'measuring' ? null : 'wasm',
    backends: phase === 'measuring' ? BACKENDS.slice(0, 2) : BACKENDS,
    memoryBytesMax: 1024 ** 3,
    models: early ? [] : models,
    microbatchesDone: phase === 'working' ? 61 : 0,
    rowsDone: phase === 'working' || phase === 'draining' ? 1412 : 0,
    links: early
      ? []
      : [
          { peer: peerId('a'), kind: 'direct', rttMs: 0.8, bytesSent: 61_000, bytesReceived: 9_400_000 },
          { peer: peerId('b'), kind: 'relayed', rttMs: 31, bytesSent: 3000, bytesReceived: 151_000 },
        ],
  };
}

const WALK: readonly NodePhase[] = ['measuring', 'joining', 'fetching', 'testing', 'waiting', 'working'];
const STEP_MS = 900;

/** Walks to `until` and stays there. */
export function fakeContribute(until: NodePhase): (options: ContributeOptions) => Promise<ContributedNode> {
  return async (options) => {
    if (until === 'stopped') throw new MeshError('INVITE_EXPIRED', 'the invite expired at 2026-01-01T00:00:00Z');
    const end = WALK.indexOf(until);
    let step = end < 0 ? 0 : end;
    let snapshot = snapshotIn(end < 0 ? until : (WALK[step] ?? until), options.name);
    const listeners = new Set<(snapshot: NodeSnapshot) => void>();
    const change = (phase: NodePhase): void => {
      snapshot = snapshotIn(phase, options.name);
      for (const listener of listeners) listener(snapshot);
    };
    if (until === 'working') step = 0;
    const timer = setInterval(() => {
      const phase = WALK[step];
      if (until === 'working' && phase !== undefined) change(phase);
      step += 1;
    }, STEP_MS);
    return {
      get snapshot() {
        return snapshot;
      },
      onChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      onLog(listener) {
        listener({
          atMs: Date.now() - 4000,
          code: 'SELF_TESTING',
          text: 'measured webgpu 41.8 ms, wasm 6.2 ms, cpu 310 ms',
        });
        listener({
          atMs: Date.now() - 2000,
          code: 'FETCHING',
          text: 'digits version 1: 411.8 KiB from the coordinator',
        });
        listener({ atMs: Date.now(), code: 'IDLE', text: 'digits version 1 passed 10 of 10' });
        return () => undefined;
      },
      async stop() {
        clearInterval(timer);
        change('draining');
        await new Promise((resolve) => setTimeout(resolve, 400));
        listeners.clear();
      },
    };
  };
}
