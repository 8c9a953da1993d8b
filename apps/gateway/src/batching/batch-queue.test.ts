import { ManualClock, seededRandom } from '@shoal/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchQueue, createBatchQueue, nextBatchMs, paddedRows } from './batch-queue.ts';
import type { BatchEffect, BatchLimits, BatchPiece, BatchState } from './batch-state.ts';

const LIMITS: BatchLimits = {
  taskRowsMax: 4,
  rowsMax: 4,
  splits: false,
  timeoutMs: 10,
  gatherMs: 0,
  waitingMax: 2,
  slots: 1,
  allowedRows: [],
};

/** A queue whose tasks are numbered as they come. */
class Scene {
  readonly state: BatchState;
  nowMs = 0;
  #tasks = 0;

  constructor(limits: Partial<BatchLimits> = {}) {
    this.state = createBatchQueue({ ...LIMITS, ...limits });
  }

  submit(rows: number, kind = '', rowsMax = 1000): BatchEffect[] {
    const task = { id: this.#tasks++, rows, kind, rowsMax };
    return batchQueue(this.state, { type: 'submit', nowMs: this.nowMs, task });
  }

  done(batch: number): BatchEffect[] {
    return batchQueue(this.state, { type: 'done', nowMs: this.nowMs, batch });
  }

  pass(ms: number): BatchEffect[] {
    this.nowMs += ms;
    return batchQueue(this.state, { type: 'tick', nowMs: this.nowMs });
  }
}

const piece = (task: number, start: number, end: number): BatchPiece => ({ task, start, end });
const run = (batch: number, pieces: BatchPiece[], rows: number, padded = rows): BatchEffect => ({
  type: 'run',
  batch,
  pieces,
  rows,
  paddedRows: padded,
});

describe('as TensorFlow Serving', () => {
  test('a full batch goes at once, another when its first request is old enough', () => {
    const scene = new Scene({ slots: 8 });
    expect([scene.submit(3), scene.submit(1)]).toEqual([[], [run(0, [piece(0, 0, 3), piece(1, 0, 1)], 4)]]);
    expect(scene.submit(1)).toEqual([]);
    expect(scene.pass(5)).toEqual([]);
    expect(scene.submit(2)).toEqual([]);
    expect(nextBatchMs(scene.state)).toBe(10);
    expect(scene.pass(5)).toEqual([run(1, [piece(2, 0, 1), piece(3, 0, 2)], 3)]);
    expect(nextBatchMs(scene.state)).toBeNull();
  });

  test('what does not fit begins another batch, and closes the one before', () => {
    const scene = new Scene({ slots: 8 });
    scene.submit(3);
    expect(scene.submit(2)).toEqual([run(0, [piece(0, 0, 3)], 3)]);
  });

  test('with a timeout of 0 an idle node takes a request at once, and a busy one lets them gather', () => {
    const scene = new Scene({ timeoutMs: 0 });
    expect(scene.submit(1)).toEqual([run(0, [piece(0, 0, 1)], 1)]);
    expect([scene.submit(1), scene.submit(2)]).toEqual([[], []]);
    expect(nextBatchMs(scene.state)).toBeNull();
    expect(scene.done(0)).toEqual([run(1, [piece(1, 0, 1), piece(2, 0, 2)], 3)]);
  });

  test('a request larger than the limit is refused', () => {
    expect(new Scene().submit(5)).toEqual([
      {
        type: 'refuse',
        task: 0,
        why: 'too-large',
        text: 'Task size 5 is larger than maximum input batch size 4',
      },
    ]);
  });

  test('a full queue refuses, and takes again when there is room', () => {
    const scene = new Scene({ timeoutMs: 0 });
    for (let i = 0; i < 3; i++) scene.submit(4);
    expect(scene.submit(1)).toEqual([
      {
        type: 'refuse',
        task: 3,
        why: 'full',
        text:
          'The batch scheduling queue to which this task was submitted is full; ' +
          'currently 2 batches enqueued and max_enqueued_batches is 2',
      },
    ]);
    scene.done(0);
    expect(scene.submit(1)).toEqual([]);
  });

  test('with splitting, a request fills the open batch and goes on in others', () => {
    const scene = new Scene({ splits: true, taskRowsMax: 10, waitingMax: 4, slots: 8 });
    expect(scene.submit(1)).toEqual([]);
    expect(scene.submit(9)).toEqual([run(0, [piece(0, 0, 1), piece(1, 0, 3)], 4), run(1, [piece(1, 3, 7)], 4)]);
    expect(scene.pass(10)).toEqual([run(2, [piece(1, 7, 9)], 2)]);
    expect(scene.submit(11)[0]).toMatchObject({ why: 'too-large' });
  });

  test('with splitting, a request that the queue cannot hold whole is refused whole', () => {
    const scene = new Scene({ splits: true, taskRowsMax: 100, waitingMax: 2 });
    expect(scene.submit(9)).toEqual([
      {
        type: 'refuse',
        task: 0,
        why: 'full',
        text:
          'The batch scheduling queue to which this task was submitted is full; task size is 9 but scheduling ' +
          'capacity is only 8 (num_enqueued_batches=0, max_enqueued_batches=2, open_batch_size=0, ' +
          'max_execution_batch_size=4)',
      },
    ]);
    expect(scene.state.waiting).toEqual([]);
  });

  test('rows are rounded up to an allowed size', () => {
    expect([1, 2, 3, 4, 5].map((rows) => paddedRows({ ...LIMITS, allowedRows: [2, 4] }, rows))).toEqual([
      2, 2, 4, 4, 5,
    ]);
    expect(new Scene({ timeoutMs: 0, allowedRows: [2, 4] }).submit(3)).toEqual([run(0, [piece(0, 0, 3)], 3, 4)]);
  });
});

describe('beyond it', () => {
  test('requests of another kind begin a batch of their own, and neither kind waits for the other', () => {
    const scene = new Scene({ slots: 8 });
    scene.submit(1, 'a');
    scene.submit(1, 'b');
    expect(scene.submit(3, 'a')).toEqual([run(0, [piece(0, 0, 1), piece(2, 0, 3)], 4)]);
    expect(scene.pass(10)).toEqual([run(1, [piece(1, 0, 1)], 1)]);
  });

  test('a batch fits one message', () => {
    const scene = new Scene({ slots: 8 });
    scene.submit(1, '', 2);
    expect(scene.submit(1, '', 2)).toEqual([run(0, [piece(0, 0, 1), piece(1, 0, 1)], 2)]);
  });

  test('a request that was called off is left out, and a batch of nothing does not go', () => {
    const scene = new Scene();
    scene.submit(1);
    scene.submit(2);
    batchQueue(scene.state, { type: 'cancel', nowMs: 0, task: 0 });
    expect(scene.pass(10)).toEqual([run(0, [piece(1, 0, 2)], 2)]);
    scene.submit(1);
    batchQueue(scene.state, { type: 'cancel', nowMs: 10, task: 2 });
    expect([scene.done(0), scene.pass(10), scene.state.waitingRows]).toEqual([[], [], 0]);
  });

  test('callers who come back together are waited for, a while', () => {
    const scene = new Scene({ timeoutMs: 0, gatherMs: 5, rowsMax: 100, taskRowsMax: 100 });
    const answer = (): BatchEffect[] => scene.done(scene.state.batchesMade - 1);
    // Four callers, each back 1 ms after its answer: first apart, then together.
    scene.submit(1);
    for (let round = 0; round < 6; round++) {
      scene.pass(1);
      while (scene.state.runningRows + scene.state.waitingRows < 4) scene.submit(1);
      scene.pass(20);
      if (round < 5) answer();
    }
    expect([...scene.state.running.values()]).toEqual([4]);
    // Three of them stay away: the fourth waits for them as long as they are worth, twice, and then no more.
    const waits = Array.from({ length: 4 }, () => {
      answer();
      scene.pass(1);
      if (scene.submit(1).length > 0) return 0;
      expect(scene.pass(4)).toEqual([]);
      expect(scene.pass(1)).toMatchObject([{ type: 'run', rows: 1 }]);
      return 5;
    });
    expect(waits).toEqual([5, 5, 0, 0]);
  });
});

describe('whatever comes', () => {
  const limits = fc.record({
    taskRowsMax: fc.integer({ min: 1, max: 12 }),
    rowsMax: fc.integer({ min: 1, max: 8 }),
    splits: fc.boolean(),
    timeoutMs: fc.integer({ min: 0, max: 20 }),
    gatherMs: fc.integer({ min: 0, max: 20 }),
    waitingMax: fc.integer({ min: 1, max: 5 }),
    slots: fc.integer({ min: 1, max: 3 }),
    allowedRows: fc.constantFrom([], [2, 8], [8]),
  });
  const calls = fc.array(
    fc.record({
      gapMs: fc.integer({ min: 0, max: 6 }),
      rows: fc.integer({ min: 1, max: 12 }),
      kind: fc.constantFrom('a', 'b'),
      rowsMax: fc.integer({ min: 3, max: 20 }),
      cancelAfterMs: fc.option(fc.integer({ min: 0, max: 30 })),
    }),
    { maxLength: 60 },
  );

  test('every request taken in is run once, its rows in order, within every limit, and none is forgotten', () => {
    fc.assert(
      fc.property(limits, calls, fc.integer(), (given, asked, seed) => {
        const random = seededRandom(seed);
        const clock = new ManualClock();
        const state = createBatchQueue(given);
        const kinds = new Map<number, string>();
        const doneRows = new Map<number, number>();
        const refused = new Set<number>();
        const cancelled = new Set<number>();
        let cancelAlarm = (): void => {};
        const feed = (event: Parameters<typeof batchQueue>[1]): void => {
          for (const effect of batchQueue(state, event)) {
            if (effect.type === 'refuse') {
              refused.add(effect.task);
              continue;
            }
            const { pieces, rows } = effect;
            expect(rows).toBe(pieces.reduce((sum, { start, end }) => sum + end - start, 0));
            expect(effect.paddedRows).toBeGreaterThanOrEqual(rows);
            expect(state.running.size).toBeLessThanOrEqual(given.slots);
            // Alone, a request may be larger than a batch: without splitting there is no other way to run it.
            if (pieces.length > 1 || given.splits) expect(rows).toBeLessThanOrEqual(given.rowsMax);
            expect(new Set(pieces.map(({ task }) => kinds.get(task))).size).toBe(1);
            for (const { task, start, end } of pieces) {
              expect(cancelled.has(task)).toBe(false);
              expect(start).toBe(doneRows.get(task) ?? 0);
              expect(end).toBeGreaterThan(start);
              doneRows.set(task, end);
            }
            clock.schedule(1 + random.next() * 10, () =>
              feed({ type: 'done', nowMs: clock.nowMs(), batch: effect.batch }),
            );
          }
          expect(state.waiting.length).toBeLessThanOrEqual(given.waitingMax);
          cancelAlarm();
          const dueMs = nextBatchMs(state);
          if (dueMs === null) return;
          expect(dueMs).toBeGreaterThan(clock.nowMs());
          cancelAlarm = clock.schedule(dueMs - clock.nowMs(), () => feed({ type: 'tick', nowMs: clock.nowMs() }));
        };
        for (const [id, { gapMs, rows, kind, rowsMax, cancelAfterMs }] of asked.entries()) {
          clock.advance(gapMs);
          kinds.set(id, kind);
          feed({ type: 'submit', nowMs: clock.nowMs(), task: { id, rows, kind, rowsMax } });
          if (cancelAfterMs === null) continue;
          clock.schedule(cancelAfterMs, () => {
            cancelled.add(id);
            feed({ type: 'cancel', nowMs: clock.nowMs(), task: id });
          });
        }
        // Longer than all of it can take: each batch waits once for time and once for a slot.
        clock.advance(10_000);
        for (const [id, { rows }] of asked.entries()) {
          if (refused.has(id)) expect(doneRows.has(id)).toBe(false);
          else if (!cancelled.has(id)) expect(doneRows.get(id)).toBe(rows);
        }
        expect([state.waiting, state.waitingRows, state.runningRows, clock.pending]).toEqual([[], 0, 0, 0]);
      }),
      { seed: 8, numRuns: 500 },
    );
  });
});
