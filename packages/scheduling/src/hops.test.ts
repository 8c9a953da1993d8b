import { seededRandom } from '@shoal/base';
import { peerId } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { hopMs } from './hops.ts';
import { DispatchScene } from './testing/dispatch-scene.ts';

const COMPUTE_MS = 10;

/** Two stages of two nodes; `wireMs` by the ends of a hop, `-` being the client. */
class Wires {
  readonly scene = new DispatchScene();
  readonly #wireMs: Readonly<Record<string, number>>;
  #requests = 0;

  constructor(wireMs: Readonly<Record<string, number>>) {
    this.#wireMs = wireMs;
    this.scene.placed({ a: COMPUTE_MS, b: COMPUTE_MS }, { c: COMPUTE_MS, d: COMPUTE_MS });
  }

  tripMs(first: string, second: string): number {
    return this.#wireMs[`-${first}`]! + this.#wireMs[`${first}${second}`]! + this.#wireMs[`${second}-`]!;
  }

  /** What the hops of a route are thought to take together. */
  thoughtMs(first: string, second: string): number {
    const { stages } = this.scene.state;
    const [one, two] = [stages[0]!.get(peerId(first))!, stages[1]!.get(peerId(second))!];
    const hops = [one.hopsFrom.get(null), two.hopsFrom.get(one.node), two.hopBack];
    return hops.reduce((sum, hop) => sum + hopMs(hop, this.scene.nowMs), 0);
  }

  /** Sends one row along whatever route is chosen, and back. */
  roundTrip(extraMs = 0): string {
    const name = `r${this.#requests++}`;
    this.scene.submit(name, 1);
    const label = `${name}[0,1)`;
    const [first, second] = this.scene.flight(label).route;
    this.scene.passTo(this.scene.nowMs + this.tripMs(first!, second!) + 2 * COMPUTE_MS + extraMs);
    this.scene.result(label);
    return `${first}${second}`;
  }
}

const NEAR = { '-a': 5, '-b': 5, ac: 5, ad: 5, bc: 5, bd: 5, 'c-': 5, 'd-': 5 };

test('hops add up to trips on every route that is used', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const wires = new Wires(
      Object.fromEntries(Object.keys(NEAR).map((hop) => [hop, Math.round(5 + 40 * random.next())])),
    );
    for (let i = 0; i < 40; i++) wires.roundTrip();
    const last = wires.roundTrip();
    const [first, second] = [last[0]!, last[1]!];
    expect(wires.thoughtMs(first, second), `seed ${seed}`).toBeCloseTo(wires.tripMs(first, second), 0);
  }
});

test('work goes round a slow link between two nodes, each of which is near to others', () => {
  const wires = new Wires({ ...NEAR, ac: 200, bd: 200 });
  for (let i = 0; i < 20; i++) wires.roundTrip();
  for (let i = 0; i < 20; i++) expect(['ad', 'bc']).toContain(wires.roundTrip());
});

test('a hop that was slow for a while is tried again when that is long ago', () => {
  const wires = new Wires({ ...NEAR, '-b': 50, bd: 100, bc: 100 });
  for (let i = 0; i < 40; i++) wires.roundTrip();
  const before = wires.roundTrip();
  for (let i = 0; i < 10; i++) wires.roundTrip(before === 'ac' ? 400 : 0);
  const used = new Set<string>();
  wires.scene.passTo(wires.scene.nowMs + 61_000);
  for (let i = 0; i < 4; i++) used.add(wires.roundTrip());
  expect(used).toContain(before);
});

test('one late trip is believed in part only', () => {
  const wires = new Wires(NEAR);
  for (let i = 0; i < 40; i++) wires.roundTrip();
  const [first, second] = [...wires.roundTrip(400)];
  expect(wires.thoughtMs(first!, second!)).toBeLessThan(15 + 400);
  expect(wires.thoughtMs(first!, second!)).toBeGreaterThan(15);
});

test('a node that is gone leaves no hops behind', () => {
  const wires = new Wires(NEAR);
  for (let i = 0; i < 20; i++) wires.roundTrip();
  const { stages } = wires.scene.state;
  const known = (): unknown[] => [...stages[1]!.values()].flatMap(({ hopsFrom }) => [...hopsFrom.keys()]);
  expect(known()).toContain('a');
  wires.scene.placed({ b: COMPUTE_MS }, { c: COMPUTE_MS, d: COMPUTE_MS });
  expect([...wires.scene.state.stages[1]!.values()].flatMap(({ hopsFrom }) => [...hopsFrom.keys()])).not.toContain('a');
});
