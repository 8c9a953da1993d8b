import { peerId, requestId, type WorkMessage } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { QUEUE_MAX, WorkQueue, type Job } from './work-queue.ts';

const released: number[] = [];
const job = (microbatch: number, expiresAtMs = 100): Job => {
  const message: WorkMessage = {
    type: 'work',
    requestId: requestId('r'),
    microbatch,
    attempt: 1,
    epoch: 1,
    model: 'm',
    version: 1,
    signature: 'serving_default',
    stage: 0,
    route: [peerId('n')],
    replyTo: peerId(microbatch % 2 === 0 ? 'even' : 'odd'),
    rows: 1,
    deadlineMs: 100,
    timings: [],
    tensors: [],
  };
  return { message, bodies: [], arrivedAtMs: 0, expiresAtMs, release: () => released.push(microbatch) };
};
const fresh = (): WorkQueue => {
  released.length = 0;
  return new WorkQueue();
};

test('jobs run in the order in which they came, each once', () => {
  const queue = fresh();
  expect([queue.add(job(1)), queue.add(job(2)), queue.add(job(1))]).toEqual([true, true, false]);
  expect(queue.next(0)?.message.microbatch).toBe(1);
  expect(queue.add(job(1))).toBe(false);
  expect(queue.next(0)?.message.microbatch).toBe(2);
  expect(queue.next(0)).toBeUndefined();
});

test('a job that is out of time is released and not run', () => {
  const queue = fresh();
  queue.add(job(1, 10));
  queue.add(job(2, 30));
  expect(queue.next(20)?.message.microbatch).toBe(2);
  expect(released).toEqual([1]);
});

test('a cancel removes what waits, and makes the outcome of what runs unwanted', () => {
  const queue = fresh();
  const first = job(1);
  queue.add(first);
  queue.add(job(2));
  queue.next(0);
  queue.cancel(first.message);
  queue.cancel(job(2).message);
  expect(queue.next(0)).toBeUndefined();
  expect(queue.finish(first)).toBe(false);
  expect(released).toEqual([2, 1]);
});

test('what a lost peer asked for is called off; what others asked for stays', () => {
  const queue = fresh();
  for (let i = 0; i < 4; i++) queue.add(job(i));
  queue.cancelFrom((message) => message.replyTo === peerId('odd'));
  expect([queue.next(0), queue.next(0)].map((next) => next?.message.microbatch)).toEqual([0, 2]);
});

test('a queue at its limit takes no more', () => {
  const queue = fresh();
  for (let i = 0; i < QUEUE_MAX; i++) expect(queue.add(job(i))).toBe(true);
  expect(queue.add(job(QUEUE_MAX))).toBe('full');
});
