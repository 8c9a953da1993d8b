import { peerId, requestId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { runChaos } from './testing/chaos.ts';
import { outcomesOf, violationsOf, type HistoryEntry } from './testing/dispatch-history.ts';
import { DispatchSimulation } from './testing/dispatch-simulation.ts';

/** Breaches per seed, of those seeds that have any. */
function failingSeeds(fromSeed: number, count: number): Record<string, readonly string[]> {
  const failing: Record<string, readonly string[]> = {};
  for (let seed = fromSeed; seed < fromSeed + count; seed++) {
    const breaches = breachesOf(seed);
    if (breaches.length > 0) failing[`seed ${seed}`] = breaches;
  }
  return failing;
}

function breachesOf(seed: number): readonly string[] {
  try {
    const simulation = runChaos(seed);
    return [...violationsOf(simulation.history), ...simulation.leftovers()];
  } catch (error) {
    return [String(error)];
  }
}

describe('with everything going wrong', () => {
  test.each([1, 51, 101, 151])('one outcome by the deadline and each row once: 50 seeds from %i', (fromSeed) =>
    expect(failingSeeds(fromSeed, 50)).toEqual({}),
  );

  test('the seeds do what they are for: work ends in each way, and much of it well', () => {
    const codes = new Set<string>();
    let results = 0;
    let accepted = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const { history } = runChaos(seed);
      for (const entry of history) if (entry.type === 'settled') codes.add(entry.code ?? 'done');
      results += outcomesOf(history).results;
      accepted += outcomesOf(history).accepted;
    }
    expect([...codes].sort()).toEqual(['CANCELLED', 'DEADLINE', 'NODE_LOST_RETRIES_EXHAUSTED', 'NO_CAPACITY', 'done']);
    expect(results / accepted).toBeGreaterThan(0.5);
  });

  test('a seed is a run', () => {
    expect(runChaos(7).history).toEqual(runChaos(7).history);
  });
});

describe('with nodes that only come and go', () => {
  test.each([1, 26])('no request is lost: 25 seeds from %i', (fromSeed) => {
    for (let seed = fromSeed; seed < fromSeed + 25; seed++) {
      const simulation = new DispatchSimulation({ seed });
      const { clock, random } = simulation;
      const stages = 1 + (seed % 2);
      const nodes = Array.from({ length: 8 }, (_, i) =>
        simulation.add(`n${i}`, { msPerRow: 10 * 8 ** random.next(), latencyMs: 30 * random.next(), noise: 0.2 }),
      );
      simulation.place(stages);
      for (let i = 0; i < 60; i++) clock.schedule(8000 * random.next(), () => simulation.submit(1 + (i % 20)));
      nodes.slice(0, 6).forEach((node, i) => {
        clock.schedule(1000 + 8000 * random.next(), () => simulation.kill(node, 6000 * random.next()));
        clock.schedule(1000 + 8000 * random.next(), () => {
          simulation.add(`late${i}`, { msPerRow: 10 });
          simulation.place();
        });
      });
      simulation.runToEnd();
      expect(violationsOf(simulation.history), `seed ${seed}`).toEqual([]);
      expect(outcomesOf(simulation.history), `seed ${seed}`).toMatchObject({ accepted: 60, results: 60 });
    }
  });

  test('a node that hangs or freezes in silence costs time alone', () => {
    const simulation = new DispatchSimulation({ seed: 1 });
    const nodes = ['a', 'b', 'c'].map((name) => simulation.add(name, { msPerRow: 40, latencyMs: 5 }));
    simulation.place();
    simulation.submit(200);
    simulation.clock.schedule(500, () => (nodes[0]!.hung = true));
    simulation.clock.schedule(700, () => (nodes[1]!.frozenUntilMs = 30_000));
    const endMs = simulation.runToEnd();
    expect(violationsOf(simulation.history)).toEqual([]);
    expect(outcomesOf(simulation.history).results).toBe(1);
    // One node alone would take 8 s.
    expect(endMs).toBeLessThan(8000);
  });
});

describe('with stages that lose their only node', () => {
  /** Three stages with a node each; some stage's node dies at a random moment, a spare takes its place later. */
  function killOne(seed: number, victim: number): DispatchSimulation {
    const simulation = new DispatchSimulation({ seed, unservedCode: 'PEER_LEFT' });
    const { clock, random } = simulation;
    const nodes = [0, 1, 2].map((i) =>
      simulation.add(`n${i}`, { msPerRow: 90, latencyMs: 10 * random.next(), noise: 0.3 }),
    );
    simulation.place(3);
    for (let i = 0; i < 40; i++) clock.schedule(20 * i, () => simulation.submit(1));
    clock.schedule(200 + 1000 * random.next(), () => simulation.kill(nodes[victim]!, 200 * random.next()));
    clock.schedule(1500, () => {
      simulation.add('spare', { msPerRow: 90, latencyMs: 5 });
      simulation.place();
    });
    simulation.runToEnd();
    return simulation;
  }

  test.each([0, 1, 2])('stage %i: nothing lost, nothing twice, and nothing kept in the end', (victim) => {
    for (let seed = 1; seed <= 60; seed++) {
      const simulation = killOne(seed, victim);
      expect(violationsOf(simulation.history), `seed ${seed}`).toEqual([]);
      expect(outcomesOf(simulation.history), `seed ${seed}`).toMatchObject({ accepted: 40, results: 40 });
      expect(simulation.leftovers(), `seed ${seed}`).toEqual([]);
      for (const node of simulation.nodes.values()) {
        if (node.alive) expect(node.keptCount, `seed ${seed}: ${node.id}`).toBe(0);
      }
    }
  });

  test.each([1, 2])('what stage 0 has done it does not do again when stage %i is lost', (victim) => {
    let resumed = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const simulation = killOne(seed, victim);
      const first = simulation.nodes.get(peerId('n0'))!;
      expect(first.computed, `seed ${seed}`).toBe(40);
      resumed += simulation.resumed;
    }
    // There was something to go on with, in every run.
    expect(resumed).toBeGreaterThan(60);
  });

  test('what was kept no longer starts over, and still each row counts once', () => {
    const simulation = new DispatchSimulation({ seed: 3, config: { aheadMs: 4000 }, unservedCode: 'PEER_LEFT' });
    const [a, b] = [simulation.add('a', { msPerRow: 20, keptMax: 6 }), simulation.add('b', { msPerRow: 400 })];
    simulation.place(2);
    const ids = Array.from({ length: 30 }, () => simulation.submit(1));
    let keptMost = 0;
    for (let atMs = 10; atMs < 2000; atMs += 10) {
      simulation.clock.schedule(atMs, () => (keptMost = Math.max(keptMost, a.keptCount)));
    }
    // By now the first stage has handed on more than it keeps.
    simulation.clock.schedule(1000, () => simulation.kill(b, 0));
    simulation.clock.schedule(1100, () => {
      simulation.add('c', { msPerRow: 40 });
      simulation.place();
    });
    simulation.runToEnd();
    expect(violationsOf(simulation.history)).toEqual([]);
    expect(outcomesOf(simulation.history).results).toBe(ids.length);
    expect(keptMost).toBe(6);
    expect(a.computed).toBeGreaterThan(ids.length);
  });
});

describe('the checkers see', () => {
  const a = requestId('a');
  const n = peerId('n');
  const submitted: HistoryEntry = { type: 'submitted', atMs: 0, requestId: a, rows: 2, deadlineAtMs: 100 };
  const accepted = (start: number, end: number): HistoryEntry => ({
    type: 'accepted',
    atMs: 1,
    requestId: a,
    start,
    end,
  });
  const settled = (atMs: number): HistoryEntry => ({ type: 'settled', atMs, requestId: a, code: null });
  const sent: HistoryEntry = { type: 'sent', atMs: 2, requestId: a, route: [n] };

  test.each<[string, HistoryEntry[], string]>([
    ['a request without an outcome', [submitted], 'a: never settled'],
    ['a second outcome', [submitted, accepted(0, 2), settled(5), settled(6)], 'a: settled twice'],
    ['a late outcome', [submitted, accepted(0, 2), settled(101)], 'a: settled late'],
    ['a missing row', [submitted, accepted(0, 1), settled(5)], 'a: done without row 1'],
    ['a row that counts twice', [submitted, accepted(0, 2), accepted(1, 2), settled(5)], 'a: row 1 accepted twice'],
    ['a row that nobody asked for', [submitted, accepted(0, 3), settled(5)], 'a: no row 2 was asked for'],
    ['a result after the outcome', [submitted, accepted(0, 2), settled(5), accepted(0, 1)], 'a: accepted though over'],
    ['work after the outcome', [submitted, accepted(0, 2), settled(5), sent], 'a: sent though it is over'],
    ['work for a lost node', [submitted, { type: 'lost', atMs: 1, node: n }, sent], 'a: sent to n, known to be lost'],
    ['an outcome from nowhere', [settled(5)], 'a: settled, never submitted'],
  ])('%s', (_, history, breach) => {
    expect(violationsOf(history).join('\n')).toContain(breach);
  });

  test('nothing where there is nothing', () => {
    expect(violationsOf([submitted, sent, accepted(1, 2), accepted(0, 1), settled(100)])).toEqual([]);
  });
});
