/** Callers who ask again as soon as they are answered, and nodes that take a + b·rows a batch, on a clock of their own. */
import { ManualClock, type Random } from '@shoal/base';
import { BatchCostMeter } from '../batching/batch-cost.ts';
import { batchLimits } from '../batching/batch-limits.ts';
import { batchQueue, createBatchQueue, nextBatchMs } from '../batching/batch-queue.ts';
import type { BatchEvent } from '../batching/batch-state.ts';
import type { BatchingParameters } from '@shoal/protocol';

export interface ClosedLoop {
  readonly parameters: BatchingParameters;
  readonly callers: number;
  readonly nodes: number;
  readonly fixedMs: number;
  readonly msPerRow: number;
  /** A caller's next request comes so long after its answer, at most; drawn evenly from 0. */
  readonly thinkMsMax: number;
  readonly random: Random;
}

export interface ClosedLoopResult {
  readonly rowsPerMs: number;
  readonly p95Ms: number;
}

const WARM_UP_MS = 1000;
const MEASURED_MS = 3000;

/** Requests of one row each. What is measured after the warm-up counts. */
export function closedLoop(loop: ClosedLoop): ClosedLoopResult {
  const { parameters, callers, nodes, fixedMs, msPerRow, thinkMsMax, random } = loop;
  const clock = new ManualClock();
  const meter = new BatchCostMeter(fixedMs + msPerRow);
  const limits = () => batchLimits(parameters, { ...meter.cost, replicas: nodes });
  const state = createBatchQueue(limits());
  const freeAtMs = new Array<number>(nodes).fill(0);
  const askedAtMs = new Map<number, number>();
  const latenciesMs: number[] = [];
  let tasksMade = 0;
  let cancelAlarm = (): void => {};

  const feed = (event: BatchEvent): void => {
    for (const effect of batchQueue(state, event)) {
      if (effect.type === 'refuse') throw new Error(effect.text);
      const { batch, pieces, rows } = effect;
      const node = freeAtMs.indexOf(Math.min(...freeAtMs));
      const computeMs = fixedMs + rows * msPerRow;
      const doneMs = Math.max(clock.nowMs(), freeAtMs[node] ?? 0) + computeMs;
      freeAtMs[node] = doneMs;
      clock.schedule(doneMs - clock.nowMs(), () => {
        meter.add({ rows, computeMs, tripMs: 0 });
        for (const { task } of pieces) {
          if (clock.nowMs() > WARM_UP_MS) latenciesMs.push(clock.nowMs() - (askedAtMs.get(task) ?? 0));
          clock.schedule(random.next() * thinkMsMax, ask);
        }
        feed({ type: 'done', nowMs: clock.nowMs(), batch });
      });
    }
    cancelAlarm();
    const dueMs = nextBatchMs(state);
    if (dueMs === null) return;
    cancelAlarm = clock.schedule(dueMs - clock.nowMs(), () => feed({ type: 'tick', nowMs: clock.nowMs() }));
  };
  const ask = (): void => {
    const id = tasksMade++;
    askedAtMs.set(id, clock.nowMs());
    feed({ type: 'limits', nowMs: clock.nowMs(), limits: limits() });
    feed({ type: 'submit', nowMs: clock.nowMs(), task: { id, rows: 1, kind: '', rowsMax: 1000 } });
  };
  for (let caller = 0; caller < callers; caller++) clock.schedule(random.next() * thinkMsMax, ask);
  clock.advance(WARM_UP_MS + MEASURED_MS);
  latenciesMs.sort((a, b) => a - b);
  return {
    rowsPerMs: latenciesMs.length / MEASURED_MS,
    p95Ms: latenciesMs[Math.ceil(0.95 * latenciesMs.length) - 1] ?? Number.POSITIVE_INFINITY,
  };
}
