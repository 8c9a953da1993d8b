import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextRoutes, type Candidate } from './proof-routes.ts';

/** Nodes by stage, by name; those in `proven` are. */
const chainOf = (stages: readonly (readonly string[])[], proven: ReadonlySet<string> = new Set()): Candidate[][] =>
  stages.map((names) => names.map((id) => ({ id, isProven: proven.has(id), isBusy: false, isDue: true })));
const named = (routes: readonly (readonly Candidate[])[]): string[] =>
  routes.map((route) => route.map(({ id }) => id).join(' '));

describe('routes', () => {
  test('the first is run alone; then there are as many as the stage with most unproven nodes has', () => {
    const stages = [['a0', 'a1', 'a2'], ['b0', 'b1'], ['c0']];
    const first = nextRoutes(chainOf(stages), [], 0);
    expect(named(first.routes)).toEqual(['a0 b0 c0']);
    const next = nextRoutes(chainOf(stages, new Set(['a0', 'b0', 'c0'])), [], 0);
    expect(named(next.routes)).toEqual(['a1 b1 c0', 'a2 b0 c0']);
  });

  test('while the first is run there is no other, and a stage without nodes has none at all', () => {
    const [[a] = [], [b, c] = []] = chainOf([['a'], ['b', 'c']]);
    const isBusy = { isBusy: true };
    const chain = [[{ ...a!, ...isBusy }], [{ ...b!, ...isBusy }, c!]];
    expect(nextRoutes(chain, [], 0)).toEqual({ routes: [], isStuck: false });
    expect(nextRoutes([chain[0]!, []], [], 0)).toEqual({ routes: [], isStuck: false });
  });

  test('a rest after a try that did not get through is kept, and is no dead end', () => {
    const chain = chainOf([['a'], ['b']]).map((stage) => stage.map((each) => ({ ...each, isDue: false })));
    expect(nextRoutes(chain, [], 0)).toEqual({ routes: [], isStuck: false });
  });

  test('what came out wrong is tried through others first, then each suspect alone among proven ones', () => {
    const stages = [
      ['a0', 'a1'],
      ['b0', 'b1'],
    ];
    const wrong = [new Set(['a0', 'b0'])];
    expect(named(nextRoutes(chainOf(stages), wrong, 0).routes)).toEqual(['a1 b1']);
    const next = nextRoutes(chainOf(stages, new Set(['a1', 'b1'])), wrong, 0);
    expect(named(next.routes)).toEqual(['a0 b1', 'a1 b0']);
  });

  test('where there are no others it is stuck', () => {
    expect(nextRoutes(chainOf([['a'], ['b']]), [new Set(['a', 'b'])], 0)).toEqual({ routes: [], isStuck: true });
  });
});

test('while a right route exists, all that are right are proven in the end, and those that are wrong are left alone with proven ones', () => {
  const stageSizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(stageSizes, fc.infiniteStream(fc.boolean()), fc.nat(), (sizes, coins, turn) => {
      const stages = sizes.map((size, stage) => Array.from({ length: size }, (_, i) => `${stage}.${i}`));
      // One right node a stage at least; of the others chance decides.
      const wrong = new Set(stages.flatMap(([, ...others]) => others.filter(() => coins.next().value)));
      const proven = new Set<string>();
      const convicted = new Set<string>();
      let failures: Set<string>[] = [];
      let run = 0;
      for (;;) {
        const left = stages.map((names) => names.filter((name) => !convicted.has(name)));
        const { routes, isStuck } = nextRoutes(chainOf(left, proven), failures, turn + run);
        expect(isStuck).toBe(false);
        if (routes.length === 0) break;
        for (const route of named(routes).map((text) => text.split(' '))) {
          run += 1;
          if (route.some((name) => wrong.has(name))) failures.push(new Set(route));
          else for (const name of route) proven.add(name);
        }
        failures = failures.map((failure) => new Set([...failure].filter((name) => !proven.has(name))));
        for (const failure of failures) if (failure.size === 1) for (const name of failure) convicted.add(name);
        failures = failures.filter((failure) => ![...failure].some((name) => convicted.has(name)));
        expect(run).toBeLessThan(1000);
      }
      expect(convicted).toEqual(wrong);
      expect([...proven].sort()).toEqual(
        stages
          .flat()
          .filter((name) => !wrong.has(name))
          .sort(),
      );
      if (wrong.size === 0) expect(run).toBe(Math.max(...sizes));
    }),
  );
});
