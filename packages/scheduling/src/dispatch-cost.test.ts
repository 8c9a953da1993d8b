import { peerId, requestId, type PeerId } from '@shoal/protocol';
import { beforeAll, expect, test } from 'vitest';
import type { DispatchEvent, Flight } from './dispatch-state.ts';
import { createDispatch, dispatch, nextWakeMs } from './dispatch.ts';

const NODES = 50;
const EVENTS = 10_000;
const COST_US_MAX = 50;

/** Keeps so many requests of one row queued while results come in; the events it took. */
function runQueued(queued: number): number {
  const state = createDispatch();
  const sent: Flight[] = [];
  let events = 0;
  let requests = 0;
  const feed = (event: DispatchEvent): void => {
    events += 1;
    for (const effect of dispatch(state, event)) if (effect.type === 'send') sent.push(effect.flight);
    nextWakeMs(state);
  };
  const submit = (nowMs: number): void => {
    const id = requestId(`r${requests++}`);
    feed({ type: 'submit', nowMs, requestId: id, rows: 1, splittable: true, rowsMax: 1, deadlineAtMs: nowMs + 60_000 });
  };
  const replicas = Array.from({ length: NODES }, (_, i) => ({ node: peerId(`n${i}`), msPerRow: 20 * (1 + (i % 8)) }));
  feed({ type: 'placement', nowMs: 0, epoch: 1, stages: [replicas], unserved: null });
  while (state.waitingRows < queued) submit(0);
  for (let i = 0; events < EVENTS; i++) {
    const { requestId: id, microbatch, attempt, route, bookedMs, sentAtMs } = sent[i]!;
    const node: PeerId = route[0]!;
    const timing = {
      stage: 0,
      node,
      rows: 1,
      queueMs: Math.max(0, i - sentAtMs - bookedMs[0]!),
      computeMs: bookedMs[0]!,
    };
    feed({ type: 'result', nowMs: i, requestId: id, microbatch, attempt, timings: [timing] });
    submit(i);
  }
  expect(state.waitingRows).toBeGreaterThanOrEqual(queued - 1);
  return events;
}

beforeAll(() => {
  // The compiler's share is not what is measured here.
  runQueued(1000);
});

// The time limits are the assertion; a machine that is busy with something else gets another chance.
test.each([1000, 4000])(
  `an event costs less than ${COST_US_MAX} µs with %i requests queued on ${NODES} nodes`,
  { timeout: (EVENTS * COST_US_MAX) / 1000, retry: 2 },
  (queued) => expect(runQueued(queued)).toBe(EVENTS),
);
