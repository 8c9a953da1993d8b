import { expect, test } from 'vitest';
import { ManualClock } from './clock.ts';
import { withDeadline } from './deadline.ts';
import { deferred } from './deferred.ts';

const options = (clock: ManualClock, signal?: AbortSignal) => ({
  clock,
  signal,
  deadlineMs: 100,
  onDeadline: () => new Error('too late'),
  onAbort: () => new Error('called off'),
});

test('work that settles in time settles the wait, with its value or its error', async () => {
  const clock = new ManualClock();
  await expect(withDeadline(Promise.resolve(3), options(clock))).resolves.toBe(3);
  await expect(withDeadline(Promise.reject(new Error('broken')), options(clock))).rejects.toThrow('broken');
});

test('silence ends at the deadline, and not before', async () => {
  const clock = new ManualClock();
  let settled = false;
  const wait = withDeadline(deferred<void>().promise, options(clock)).finally(() => (settled = true));
  clock.advance(99);
  await Promise.resolve();
  expect(settled).toBe(false);
  clock.advance(1);
  await expect(wait).rejects.toThrow('too late');
});

test('an abort ends the wait at once, also when it came before', async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const wait = withDeadline(deferred<void>().promise, options(clock, controller.signal));
  controller.abort();
  await expect(wait).rejects.toThrow('called off');
  await expect(withDeadline(deferred<void>().promise, options(clock, controller.signal))).rejects.toThrow('called off');
});
