/** Everything at once, from a seed: nodes come, go, hang, slow down and fail; messages are lost, doubled, reordered. */
import type { Random } from '@shoal/base';
import { DispatchSimulation } from './dispatch-simulation.ts';
import type { NodeTraits, SimulatedNode } from './simulated-node.ts';

/** How long things go wrong; requests may end later. */
const CHAOS_MS = 20_000;
const NODES_MAX = 12;
const STAGES_MAX = 3;

/** A world made from the seed, run until every deadline in it has passed. */
export function runChaos(seed: number): DispatchSimulation {
  const isLossy = seed % 3 === 0;
  const simulation = new DispatchSimulation({
    seed,
    faults: isLossy ? { dropRate: 0.02, duplicateRate: 0.05, jitterMs: 80 } : { jitterMs: seed % 2 === 0 ? 0 : 20 },
  });
  const { clock, random } = simulation;
  const stages = below(random, STAGES_MAX);
  const nodes = stages + below(random, NODES_MAX - stages);
  for (let i = 0; i < nodes; i++) simulation.add(`n${i}`, anyTraits(random));
  simulation.place(1 + stages);
  const requests = 5 + below(random, 40);
  for (let i = 0; i < requests; i++) clock.schedule(CHAOS_MS * random.next(), () => submitAny(simulation));
  const mishaps = below(random, 20);
  for (let i = 0; i < mishaps; i++) {
    clock.schedule(CHAOS_MS * random.next(), () => MISHAPS[below(random, MISHAPS.length)]!(simulation, i));
  }
  simulation.runToEnd();
  return simulation;
}

type Mishap = (simulation: DispatchSimulation, i: number) => void;

const MISHAPS: readonly Mishap[] = [
  (simulation) => onSome(simulation, (node) => simulation.kill(node, 6000 * simulation.random.next())),
  (simulation) => onSome(simulation, (node) => simulation.kill(node, 0)),
  (simulation) => onSome(simulation, (node) => simulation.breakLink(node)),
  (simulation) => onSome(simulation, (node) => (node.hung = true)),
  (simulation) =>
    onSome(simulation, (node) => (node.frozenUntilMs = simulation.clock.nowMs() + 10_000 * simulation.random.next())),
  (simulation) => onSome(simulation, (node) => (node.slowdown = 10)),
  (simulation) => onSome(simulation, (node) => (node.slowdown = 1)),
  (simulation) => simulation.place(1 + below(simulation.random, STAGES_MAX)),
  (simulation, i) => {
    simulation.add(`late${i}`, anyTraits(simulation.random));
    simulation.place();
  },
];

function onSome(simulation: DispatchSimulation, befall: (node: SimulatedNode) => void): void {
  const alive = [...simulation.nodes.values()].filter((node) => node.alive);
  const node = alive[below(simulation.random, alive.length)];
  if (node !== undefined) befall(node);
}

function submitAny(simulation: DispatchSimulation): void {
  const { random } = simulation;
  if (random.next() < 0.7) return submitOne(simulation, Math.floor(200 * random.next() ** 3), null);
  // A stream reads ahead.
  const stream = `s${below(random, 3)}`;
  for (let inputs = 2 + below(random, 20); inputs > 0; inputs--) submitOne(simulation, below(random, 3), stream);
}

function submitOne(simulation: DispatchSimulation, moreRows: number, stream: string | null): void {
  const { clock, random } = simulation;
  const id = simulation.submit(1 + moreRows, {
    deadlineMs: 100 + 30_000 * random.next(),
    splittable: random.next() < 0.8,
    rowsMax: 1 + below(random, 64),
    stream,
  });
  if (random.next() < 0.1) clock.schedule(1000 * random.next(), () => simulation.cancel(id));
}

const anyTraits = (random: Random): NodeTraits => ({
  msPerRow: 5 * 8 ** random.next(),
  msPerMicrobatch: 4 * random.next(),
  claim: 2 ** (2 * random.next() - 1),
  latencyMs: 50 * random.next(),
  noise: 0.5 * random.next(),
  failureRate: random.next() < 0.1 ? random.next() : 0,
  keptMax: below(random, 20),
});

/** A whole number in `[0, limit)`. */
const below = (random: Random, limit: number): number => Math.floor(limit * random.next());
