/**
 * How near the dispatcher comes to the fluid bound: W rows on nodes of speeds s take at least W / sum of s, as if work
 * were a fluid and wires took no time. Each test tells its measured ratio of that bound to the time taken.
 */
import type { RequestId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { violationsOf } from './testing/dispatch-history.ts';
import { DispatchSimulation, type SimulationOptions } from './testing/dispatch-simulation.ts';
import type { NodeTraits, SimulatedNode } from './testing/simulated-node.ts';

const ROWS = 2000;
const NODES = 16;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

interface RateChange {
  readonly atMs: number;
  /** Rows per millisecond that come, or go if negative. */
  readonly rowsPerMs: number;
}

class Race {
  readonly simulation: DispatchSimulation;
  readonly nodes: readonly SimulatedNode[];
  readonly changes: RateChange[] = [];

  /** Nodes of 10 to 80 ms per row, evenly apart on a logarithmic scale. */
  constructor(options: SimulationOptions, traits: Partial<NodeTraits> = {}) {
    this.simulation = new DispatchSimulation(options);
    this.nodes = Array.from({ length: NODES }, (_, i) => this.add(`n${i}`, 10 * 8 ** (i / (NODES - 1)), traits));
    this.simulation.place();
  }

  add(name: string, msPerRow: number, traits: Partial<NodeTraits>): SimulatedNode {
    this.changes.push({ atMs: this.simulation.clock.nowMs(), rowsPerMs: 1 / msPerRow });
    return this.simulation.add(name, { ...traits, msPerRow });
  }

  /** The fluid bound over the time taken. */
  run(): number {
    const endMs = this.simulation.runToEnd();
    expect(violationsOf(this.simulation.history)).toEqual([]);
    return fluidMs(this.changes) / endMs;
  }
}

/** When so many rows could be done at the earliest, given when speed comes and goes. */
function fluidMs(changes: readonly RateChange[]): number {
  let atMs = 0;
  let rate = 0;
  let left = ROWS;
  for (const change of [...changes].sort((a, b) => a.atMs - b.atMs)) {
    const done = (change.atMs - atMs) * rate;
    if (done >= left) break;
    left -= done;
    atMs = change.atMs;
    rate += change.rowsPerMs;
  }
  return atMs + left / rate;
}

function summary(ratios: readonly number[]): { median: number; text: string } {
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))]!;
  const [least, median, most] = [at(0), at(0.5), at(1)];
  return { median, text: `${median.toFixed(3)}, ${least.toFixed(3)} to ${most.toFixed(3)}` };
}

describe('2,000 rows on 16 nodes of speeds 1 to 8', () => {
  const steady = (traits: Partial<NodeTraits>): number[] =>
    SEEDS.map((seed) => {
      const race = new Race({ seed }, traits);
      race.simulation.submit(ROWS);
      return race.run();
    });

  test.for<[string, Partial<NodeTraits>, number]>([
    ['steady nodes at no distance', {}, 0.98],
    ['20 ms each way', { latencyMs: 20 }, 0.96],
    ['times that vary by 20 %', { noise: 0.2 }, 0.96],
    ['times that vary, 20 ms each way, speeds told twice too high', { noise: 0.2, latencyMs: 20, claim: 0.5 }, 0.94],
  ])('%s', async ([, traits, least], { annotate }) => {
    const { median, text } = summary(steady(traits));
    await annotate(text);
    expect(median).toBeGreaterThanOrEqual(least);
  });

  test.for<[string, number, number]>([
    ['noticed within 50 ms', 50, 0.95],
    ['noticed after 2 s', 2000, 0.9],
    ['noticed after 6 s', 6000, 0.9],
  ])('with a fifth of the nodes killed and as many new ones, %s', async ([, detectMs, least], { annotate }) => {
    const ratios = SEEDS.map((seed) => {
      const race = new Race({ seed }, { noise: 0.1, latencyMs: 5 });
      const { simulation, nodes, changes } = race;
      const { clock, random } = simulation;
      const firstMs = 0.8 * fluidMs(changes);
      for (let i = 0; i < 3; i++) {
        const node = nodes[(5 * i + seed) % NODES]!;
        clock.schedule(firstMs * random.next(), () => {
          changes.push({ atMs: clock.nowMs(), rowsPerMs: -1 / node.traits.msPerRow });
          simulation.kill(node, detectMs);
        });
        clock.schedule(firstMs * random.next(), () => {
          race.add(`late${i}`, 10 * 8 ** random.next(), { noise: 0.1, latencyMs: 5 });
          simulation.place();
        });
      }
      simulation.submit(ROWS);
      return race.run();
    });
    const { median, text } = summary(ratios);
    await annotate(text);
    expect(median).toBeGreaterThanOrEqual(least);
  });

  test('requests of one row each', async ({ annotate }) => {
    const race = new Race({ seed: 1 }, { latencyMs: 20 });
    for (let i = 0; i < ROWS; i++) race.simulation.submit(1);
    const ratio = race.run();
    await annotate(ratio.toFixed(3));
    expect(ratio).toBeGreaterThanOrEqual(0.97);
  });
});

describe('single rows at 60 % load on 8 nodes', () => {
  const REQUESTS = 2000;

  /** The 99th percentile of the time from submit to outcome, one node being ten times slower from some time on. */
  function p99Ms(slowFromMs: number): { p99Ms: number; hedgeShare: number } {
    const simulation = new DispatchSimulation({ seed: 1 });
    const nodes = Array.from({ length: 8 }, (_, i) =>
      simulation.add(`n${i}`, { msPerRow: 40, latencyMs: 5, noise: 0.2 }),
    );
    simulation.place();
    simulation.clock.schedule(slowFromMs, () => (nodes[3]!.slowdown = 10));
    const ids: RequestId[] = [];
    let atMs = 0;
    for (let i = 0; i < REQUESTS; i++) {
      atMs -= Math.log(1 - simulation.random.next()) * (40 / (0.6 * nodes.length));
      simulation.clock.schedule(atMs, () => ids.push(simulation.submit(1)));
    }
    simulation.runToEnd();
    expect(violationsOf(simulation.history)).toEqual([]);
    const tookMs = ids.map((id) => simulation.settledAtMs.get(id)! - simulation.submittedAtMs.get(id)!);
    tookMs.sort((a, b) => a - b);
    const { hedgesMade, microbatchesMade } = simulation.state;
    return { p99Ms: tookMs[Math.floor(0.99 * REQUESTS)]!, hedgeShare: hedgesMade / microbatchesMade };
  }

  test.for<[string, number]>([
    ['from the start', 0],
    ['in the middle', 8000],
  ])('a node that is ten times slower %s at most doubles the p99', async ([, slowFromMs], { annotate }) => {
    const healthy = p99Ms(Number.POSITIVE_INFINITY);
    const slow = p99Ms(slowFromMs);
    await annotate(`${slow.p99Ms.toFixed(1)} ms, healthy ${healthy.p99Ms.toFixed(1)} ms, hedges ${slow.hedgeShare}`);
    expect(slow.p99Ms / healthy.p99Ms).toBeLessThanOrEqual(2);
    expect(slow.hedgeShare).toBeLessThanOrEqual(0.05);
  });
});

describe('a pipeline of stages', () => {
  test.for<[number, number, number, number]>([
    [2, 0, 0, 0.97],
    [4, 20, 0, 0.95],
    [8, 50, 0, 0.95],
    [8, 50, 20, 0.95],
  ])('%i stages of 40 ms, %i ms and up to %i apart', async ([stages, latencyMs, jitterMs, least], { annotate }) => {
    const simulation = new DispatchSimulation({ seed: 1, faults: { jitterMs } });
    for (let i = 0; i < stages; i++) simulation.add(`n${i}`, { msPerRow: 40 * stages, latencyMs });
    simulation.place(stages);
    for (let i = 0; i < 600; i++) simulation.submit(1);
    const ratio = (600 * 40) / simulation.runToEnd();
    await annotate(ratio.toFixed(3));
    expect(ratio).toBeGreaterThanOrEqual(least);
  });
});
