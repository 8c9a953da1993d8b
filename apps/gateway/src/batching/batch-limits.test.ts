import { describe, expect, test } from 'vitest';
import { BatchCostMeter } from './batch-cost.ts';
import { batchLimits, type ServingSpeed } from './batch-limits.ts';

const SPEED: ServingSpeed = { fixedMs: 10, msPerRow: 0.5, isSplit: true, batchMs: 30, tripMs: 1, replicas: 2 };

describe('what serving.json says', () => {
  test('holds as TensorFlow Serving has it', () => {
    const limits = batchLimits(
      {
        max_batch_size: 128,
        batch_timeout_micros: 2500,
        max_enqueued_batches: 7,
        num_batch_threads: 3,
        allowed_batch_sizes: [32, 64],
        enable_large_batch_splitting: true,
        max_execution_batch_size: 64,
      },
      SPEED,
    );
    expect(limits).toEqual({
      taskRowsMax: 128,
      rowsMax: 64,
      splits: true,
      timeoutMs: 2.5,
      gatherMs: 0,
      waitingMax: 7,
      slots: 3,
      allowedRows: [32, 64],
    });
  });

  test('without splitting a batch is as large as the largest request', () => {
    expect(batchLimits({ max_batch_size: 16 }, SPEED)).toMatchObject({ taskRowsMax: 16, rowsMax: 16, splits: false });
  });
});

describe('what it leaves out', () => {
  test('comes from measured speed: rows until the fixed cost is thin, slots for every replica, a wait as long as it pays', () => {
    const { taskRowsMax, rowsMax, gatherMs, slots, waitingMax } = batchLimits({}, SPEED);
    // (200 - 10) / 0.5: the time bound, before 49 · 10.3 / 0.5.
    expect({ taskRowsMax, rowsMax, gatherMs, slots }).toEqual({
      taskRowsMax: Number.POSITIVE_INFINITY,
      rowsMax: 380,
      gatherMs: 10,
      slots: 2,
    });
    // What two nodes do in 30 s.
    expect(waitingMax).toBe(Math.ceil(60_000 / 200.3));
  });

  test('is small where rows cost what they cost, and lets a fast model go at once', () => {
    expect(batchLimits({}, { ...SPEED, fixedMs: 0, msPerRow: 40 })).toMatchObject({ rowsMax: 1, gatherMs: 0 });
    expect(batchLimits({}, { ...SPEED, fixedMs: 0.2, msPerRow: 0.001 })).toMatchObject({ rowsMax: 1000, gatherMs: 0 });
    expect(batchLimits({}, { ...SPEED, fixedMs: 0, msPerRow: 0 }).rowsMax).toBe(1000);
  });

  test('lets batches of other sizes come about while only one size was seen', () => {
    const unknown = { ...SPEED, fixedMs: 0, msPerRow: 10, isSplit: false };
    expect(batchLimits({}, unknown).rowsMax).toBe(20);
  });

  test('keeps more batches on their way where the way is long', () => {
    expect(batchLimits({}, { ...SPEED, tripMs: 100 }).slots).toBe(2 * (1 + 3));
    // Not for a way shorter than what another batch costs.
    expect(batchLimits({}, { ...SPEED, fixedMs: 25, tripMs: 25 }).slots).toBe(2);
    expect(batchLimits({}, { ...SPEED, fixedMs: 0, batchMs: 0, tripMs: 0.7 }).slots).toBe(2 * (1 + 2));
    expect(batchLimits({}, { ...SPEED, replicas: 0 }).slots).toBe(1);
  });
});

describe('the cost of a batch', () => {
  test('is told apart into what is fixed and what each row adds, from batches of two sizes', () => {
    const meter = new BatchCostMeter(3);
    expect(meter.cost).toEqual({ fixedMs: 0, msPerRow: 3, isSplit: false, batchMs: 3, tripMs: 0 });
    meter.add({ rows: 1, computeMs: 10.5, tripMs: 4 });
    expect(meter.cost).toEqual({ fixedMs: 0, msPerRow: 10.5, isSplit: false, batchMs: 10.5, tripMs: 4 });
    meter.add({ rows: 32, computeMs: 26, tripMs: 2 });
    expect(meter.cost.fixedMs).toBeCloseTo(10, 9);
    expect(meter.cost.msPerRow).toBeCloseTo(0.5, 9);
    expect(meter.cost.tripMs).toBe(2);
    meter.add({ rows: 32, computeMs: 26, tripMs: 52 });
    expect(meter.cost.tripMs).toBe(3);
    // As many of one size as may come do not blur what is known of the others.
    for (let i = 0; i < 1000; i++) meter.add({ rows: 32, computeMs: 26, tripMs: 2 });
    expect(meter.cost.fixedMs).toBeCloseTo(10, 6);
  });

  test('is never less than nothing', () => {
    const meter = new BatchCostMeter(1);
    meter.add({ rows: 1, computeMs: 1, tripMs: 0 });
    meter.add({ rows: 4, computeMs: 8, tripMs: 0 });
    expect(meter.cost.fixedMs).toBe(0);
    expect(meter.cost.msPerRow).toBeCloseTo(1.8, 9);
  });
});
