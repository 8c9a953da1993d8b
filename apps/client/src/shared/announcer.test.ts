import { expect, it } from 'vitest';
import { announce, ANNOUNCE_INTERVAL_MS, release, SILENT } from './announcer.ts';

it('says the first message at once', () => {
  expect(announce(SILENT, 'Working', 0).said).toBe('Working');
});

it('holds faster messages back and says only the latest of them', () => {
  let state = announce(SILENT, 'one', 0);
  state = announce(state, 'two', 100);
  state = announce(state, 'three', 200);
  expect(state.said).toBe('one');
  expect(release(state, ANNOUNCE_INTERVAL_MS - 1).said).toBe('one');
  state = release(state, ANNOUNCE_INTERVAL_MS);
  expect(state).toEqual({ said: 'three', saidAtMs: ANNOUNCE_INTERVAL_MS, held: null });
});

it('says nothing twice: a change that is undone in time is never said', () => {
  let state = announce(SILENT, 'one', 0);
  state = announce(state, 'two', 100);
  state = announce(state, 'one', 200);
  expect(release(state, 10 * ANNOUNCE_INTERVAL_MS)).toEqual({ said: 'one', saidAtMs: 0, held: null });
});
