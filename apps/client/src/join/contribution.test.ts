import { MeshError } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { ContributedNode, NodePhase, NodeSnapshot } from '../shared/sdk.ts';
import { Contribution, type Contribute } from './contribution.ts';

const OPTIONS = { invite: 'a.b.c' };

function snapshot(phase: NodePhase, rowsDone = 0): NodeSnapshot {
  return {
    phase,
    code: phase === 'failed' ? 'SELF_TEST_FAILED' : 'IDLE',
    reason: 'because',
    name: 'desk',
    peerId: null,
    mesh: null,
    backend: null,
    backends: [],
    memoryBytesMax: 0,
    models: [],
    microbatchesDone: 0,
    rowsDone,
    links: [],
  };
}

/** A promise that the test settles. */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  return { promise, resolve, reject };
}

/** A node whose changes the test makes. */
class Puppet implements ContributedNode {
  snapshot = snapshot('measuring');
  stops = 0;
  #listener: (snapshot: NodeSnapshot) => void = () => undefined;

  onChange(listener: (snapshot: NodeSnapshot) => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  onLog(listener: Parameters<ContributedNode['onLog']>[0]): () => void {
    listener({ atMs: 1, code: 'IDLE', text: 'hello' });
    return () => undefined;
  }

  stop(): Promise<void> {
    this.stops += 1;
    return Promise.resolve();
  }

  become(phase: NodePhase, rowsDone = 0): void {
    this.snapshot = snapshot(phase, rowsDone);
    this.#listener(this.snapshot);
  }
}

function rig(contribute: Contribute) {
  const clock = { nowMs: 1000 };
  const kinds: string[] = [];
  const visit: Contribution = new Contribution(
    contribute,
    () => clock.nowMs,
    () => {
      if (kinds.at(-1) !== visit.state.kind) kinds.push(visit.state.kind);
    },
  );
  return { clock, kinds, visit };
}

describe('a visit', () => {
  it('shows the node on its way, counts its rows and says goodbye', async () => {
    const node = new Puppet();
    const { visit, clock, kinds } = rig((_, onNode) => {
      onNode(node);
      return Promise.resolve(node);
    });
    await visit.start(OPTIONS);
    expect(visit.state).toMatchObject({ kind: 'running', snapshot: { phase: 'measuring' } });
    node.become('working', 12);
    clock.nowMs = 61_000;
    await visit.stop();
    expect(visit.state).toEqual({ kind: 'over', rows: 12, stayMs: 60_000 });
    expect(node.stops).toBe(1);
    expect(kinds).toEqual(['running', 'over']);
    expect(visit.log).toEqual([{ atMs: 1, code: 'IDLE', text: 'hello' }]);
  });

  it('starts once, however often it is asked', async () => {
    let calls = 0;
    const { visit } = rig(() => {
      calls += 1;
      return new Promise(() => undefined);
    });
    void visit.start(OPTIONS);
    void visit.start(OPTIONS);
    expect(calls).toBe(1);
  });

  it('is over when the node stops by itself', async () => {
    const node = new Puppet();
    const { visit } = rig(() => Promise.resolve(node));
    await visit.start(OPTIONS);
    node.become('stopped', 3);
    expect(visit.state).toMatchObject({ kind: 'over', rows: 3 });
  });
});

describe('stopping while it gets ready', () => {
  it('calls the start off and stops a node that comes too late', async () => {
    const late = deferred<ContributedNode>();
    let signal: AbortSignal | undefined;
    const { visit } = rig((options) => {
      signal = options.signal;
      return late.promise;
    });
    const started = visit.start(OPTIONS);
    await visit.stop();
    expect(signal?.aborted).toBe(true);
    expect(visit.state).toMatchObject({ kind: 'over', rows: 0 });
    const node = new Puppet();
    late.resolve(node);
    await started;
    expect(node.stops).toBe(1);
    expect(visit.state.kind).toBe('over');
  });

  it('does not mistake the calling-off for a failure', async () => {
    const late = deferred<ContributedNode>();
    const { visit } = rig(() => late.promise);
    const started = visit.start(OPTIONS);
    await visit.stop();
    late.reject(new MeshError('CANCELLED'));
    await started;
    expect(visit.state.kind).toBe('over');
  });
});

describe('failure', () => {
  it('keeps code and reason of a refused start', async () => {
    const { visit } = rig(() => Promise.reject(new MeshError('INVITE_EXPIRED', 'expired yesterday')));
    await visit.start(OPTIONS);
    expect(visit.state).toMatchObject({
      kind: 'failed',
      error: { code: 'INVITE_EXPIRED', reason: 'expired yesterday' },
    });
  });

  it('takes a node that failed by itself for what it says, and frees it', async () => {
    const node = new Puppet();
    const { visit } = rig(() => Promise.resolve(node));
    await visit.start(OPTIONS);
    node.become('failed');
    expect(visit.state).toMatchObject({
      kind: 'failed',
      error: { code: 'SELF_TEST_FAILED', reason: 'because' },
      snapshot: { phase: 'failed' },
    });
    expect(node.stops).toBe(1);
  });

  it('may be followed by another start', async () => {
    const node = new Puppet();
    const tries = [Promise.reject(new MeshError('COORDINATOR_LOST')), Promise.resolve(node)];
    const { visit } = rig(() => tries.shift() ?? Promise.resolve(node));
    await visit.start(OPTIONS);
    await visit.start(OPTIONS);
    expect(visit.state.kind).toBe('running');
  });
});
