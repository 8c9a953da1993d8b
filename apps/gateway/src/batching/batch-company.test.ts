/** Tuned batching against every fixed batch size, on callers that come back as soon as they are answered. */
import { seededRandom } from '@shoal/base';
import { describe, expect, test } from 'vitest';
import { closedLoop, type ClosedLoop, type ClosedLoopResult } from '../testing/closed-loop.ts';

const CASES: readonly Omit<ClosedLoop, 'parameters' | 'random'>[] = [
  { callers: 32, nodes: 1, fixedMs: 10, msPerRow: 0.5, thinkMsMax: 4 },
  { callers: 32, nodes: 2, fixedMs: 10, msPerRow: 0.5, thinkMsMax: 4 },
  { callers: 64, nodes: 4, fixedMs: 20, msPerRow: 1, thinkMsMax: 6 },
  { callers: 8, nodes: 1, fixedMs: 5, msPerRow: 5, thinkMsMax: 1 },
  { callers: 7, nodes: 2, fixedMs: 30, msPerRow: 1, thinkMsMax: 1 },
  { callers: 48, nodes: 1, fixedMs: 0, msPerRow: 2, thinkMsMax: 2 },
  { callers: 24, nodes: 1, fixedMs: 4, msPerRow: 0.5, thinkMsMax: 8 },
  { callers: 16, nodes: 1, fixedMs: 10, msPerRow: 2, thinkMsMax: 0 },
  { callers: 40, nodes: 3, fixedMs: 10, msPerRow: 0.5, thinkMsMax: 20 },
];

const run = (loop: Omit<ClosedLoop, 'random'>): ClosedLoopResult => closedLoop({ ...loop, random: seededRandom(5) });

function bestStatic(loop: (typeof CASES)[number]): ClosedLoopResult & { readonly size: number } {
  let best = { size: 0, rowsPerMs: 0, p95Ms: 0 };
  // Other sizes leave callers over who wait for the next round.
  const sizes = Array.from({ length: loop.callers }, (_, i) => Math.ceil(loop.callers / (i + 1)));
  for (const size of new Set(sizes)) {
    const parameters = { max_batch_size: size, batch_timeout_micros: 1_000_000, num_batch_threads: loop.nodes };
    const result = run({ ...loop, parameters });
    if (result.rowsPerMs > best.rowsPerMs) best = { size, ...result };
  }
  return best;
}

describe('tuned by what was measured', () => {
  test.each(CASES)('$callers callers, $nodes nodes, $fixedMs + $msPerRow ms: as good as the best size', (loop) => {
    const best = bestStatic(loop);
    const tuned = run({ ...loop, parameters: {} });
    expect(tuned.rowsPerMs / best.rowsPerMs).toBeGreaterThanOrEqual(0.95);
    expect(tuned.p95Ms / best.p95Ms).toBeLessThanOrEqual(1.1);
  });

  test('a lone caller never waits', () => {
    const loop = { callers: 1, nodes: 1, fixedMs: 20, msPerRow: 1, thinkMsMax: 1, parameters: {} };
    expect(run(loop).p95Ms).toBeCloseTo(21, 5);
  });
});
