/**
 * Routes through hybrids: 2 to 4 stages of 2 to 4 nodes each, speeds over a range of 4, and links that differ. Each test tells
 * what it measured; with every stage choosing for itself, as routes were chosen once, it was what decisions/0020 has.
 */
import { seededRandom } from '@shoal/base';
import type { PeerId, RequestId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { violationsOf } from './testing/dispatch-history.ts';
import { DispatchSimulation, type LinkMs } from './testing/dispatch-simulation.ts';

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);
const BATCH_ROWS = 300;
const REQUESTS = 600;
/** Before that, hops are still being found out. */
const REQUESTS_FIRST = 100;

interface Net {
  /** One way, on any link. */
  readonly leastMs: number;
  readonly mostMs: number;
  /** Time in which a row takes all of a link between nodes of two sites; every other node of a stage is in the same one. */
  readonly acrossMsPerRow: number;
}

const LAN: Net = { leastMs: 1, mostMs: 4, acrossMsPerRow: 0 };
const HOMES: Net = { leastMs: 2, mostMs: 60, acrossMsPerRow: 0 };
const SITES: Net = { leastMs: 1, mostMs: 4, acrossMsPerRow: 150 };

interface Hybrid {
  readonly simulation: DispatchSimulation;
  /** Rows per millisecond that the slowest stage computes. */
  readonly rate: number;
}

function hybrid(seed: number, net: Net): Hybrid {
  const random = seededRandom(seed);
  const scale = (low: number, high: number): number => low * (high / low) ** random.next();
  const stages = 2 + Math.floor(3 * random.next());
  const speeds = Array.from({ length: stages }, () =>
    Array.from({ length: 2 + Math.floor(3 * random.next()) }, () => scale(20, 80)),
  );
  const linkMs = new Map<string, number>();
  const latencyOf: LinkMs = (from, to) => {
    const link = [from ?? '', to ?? ''].toSorted().join(' ');
    const ms = linkMs.get(link) ?? scale(net.leastMs, net.mostMs);
    linkMs.set(link, ms);
    return ms;
  };
  const siteOf = (node: PeerId): number => Number(node.split('_')[1]) % 2;
  const isAcross: LinkMs = (from, to) =>
    from !== null && to !== null && siteOf(from) !== siteOf(to) ? net.acrossMsPerRow : 0;
  const simulation = new DispatchSimulation({ seed, linkMs: latencyOf, linkMsPerRow: isAcross });
  for (const [stage, nodes] of speeds.entries()) {
    for (const [i, msPerRow] of nodes.entries()) {
      simulation.add(`s${stage}_${i}`, { msPerRow: msPerRow * stages, noise: 0.1 });
    }
  }
  simulation.place(stages, (node) => Number(node.id.slice(1).split('_')[0]));
  const rate = Math.min(...speeds.map((nodes) => nodes.reduce((sum, ms) => sum + 1 / ms, 0)));
  return { simulation, rate };
}

/** The time that the slowest stage needs at least, over the time taken. */
function batchRatio(seed: number, net: Net): number {
  const { simulation, rate } = hybrid(seed, net);
  simulation.submit(BATCH_ROWS);
  const endMs = simulation.runToEnd();
  expect(violationsOf(simulation.history)).toEqual([]);
  return BATCH_ROWS / rate / endMs;
}

/** The 95th percentile of the time from submit to outcome of single rows, at this part of what the slowest stage can do. */
function p95Ms(seed: number, net: Net, load: number): number {
  const { simulation, rate } = hybrid(seed, net);
  const ids: RequestId[] = [];
  let atMs = 0;
  for (let i = 0; i < REQUESTS; i++) {
    atMs -= Math.log(1 - simulation.random.next()) / (load * rate);
    simulation.clock.schedule(atMs, () => ids.push(simulation.submit(1)));
  }
  simulation.runToEnd();
  expect(violationsOf(simulation.history)).toEqual([]);
  const { settledAtMs, submittedAtMs } = simulation;
  const tookMs = ids.slice(REQUESTS_FIRST).map((id) => settledAtMs.get(id)! - submittedAtMs.get(id)!);
  return tookMs.sort((a, b) => a - b)[Math.floor(0.95 * tookMs.length)]!;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('a batch of rows', () => {
  test.for<[string, Net, number]>([
    ['on a LAN', LAN, 0.96],
    ['between homes', HOMES, 0.93],
    ['on two sites with a thin line between them', SITES, 0.75],
  ])('%s', async ([, net, least], { annotate }) => {
    const ratio = mean(SEEDS.map((seed) => batchRatio(seed, net)));
    await annotate(ratio.toFixed(3));
    expect(ratio).toBeGreaterThanOrEqual(least);
  });
});

describe('single rows', () => {
  test.for<[string, number, Net, number]>([
    ['a tenth of the load on a LAN', 0.1, LAN, 155],
    ['half of the load on a LAN', 0.5, LAN, 215],
    ['a tenth of the load between homes', 0.1, HOMES, 220],
    ['half of the load between homes', 0.5, HOMES, 300],
    ['half of the load on two sites', 0.5, SITES, 300],
  ])('%s', async ([, load, net, most], { annotate }) => {
    const ms = mean(SEEDS.map((seed) => p95Ms(seed, net, load)));
    await annotate(`p95 ${ms.toFixed(0)} ms`);
    expect(ms).toBeLessThanOrEqual(most);
  });
});
