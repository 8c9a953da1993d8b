import { expect, test } from 'vitest';
import { ManualClock } from './clock.ts';

test('alarms run in order of due time, then of asking, each at its own time', () => {
  const clock = new ManualClock(100);
  const ran: string[] = [];
  clock.schedule(20, () => ran.push(`b@${clock.nowMs()}`));
  clock.schedule(10, () => {
    ran.push(`a@${clock.nowMs()}`);
    clock.schedule(5, () => ran.push(`nested@${clock.nowMs()}`));
  });
  clock.schedule(20, () => ran.push(`c@${clock.nowMs()}`));
  clock.advance(30);
  expect(ran).toEqual(['a@110', 'nested@115', 'b@120', 'c@120']);
  expect(clock.nowMs()).toBe(130);
});

test('a cancelled alarm never runs, and cancelling twice is harmless', () => {
  const clock = new ManualClock();
  let ran = false;
  const cancel = clock.schedule(1, () => (ran = true));
  expect(clock.pending).toBe(1);
  cancel();
  cancel();
  expect(clock.pending).toBe(0);
  clock.advance(10);
  expect(ran).toBe(false);
});
