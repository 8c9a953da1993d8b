/**
 * Over which routes golden vectors run next. A route that gives them right proves all of its members. One that does not
 * convicts none of them, but no route with the same unproven members is tried again: others tell who it was.
 */

/** A node's part in a chain of stages: it is there, and can be asked. */
export interface Candidate {
  readonly id: string;
  readonly isProven: boolean;
  /** A route through it is being run. */
  readonly isBusy: boolean;
  /** Whether it may be tried now: after a try that did not get through there is a rest. */
  readonly isDue: boolean;
}

export interface NextRoutes {
  /** One candidate a stage each. */
  readonly routes: readonly (readonly Candidate[])[];
  /** Whether some are unproven, and no route that was not tried yet could tell more. */
  readonly isStuck: boolean;
}

/** A search among many nodes that have all failed ends here: the next change of the chain begins another. */
const STEPS_MAX = 4096;

/**
 * As few routes as cover the unproven candidates that are not busy: as many as the stage with most of them has. Until there is a
 * proven one at every stage only one route is run at a time, for all the others are better run through what it proves.
 * @param failures by route that came out wrong: its members that are unproven
 * @param turn spreads routes over those who could serve alike
 */
export function nextRoutes(
  chain: readonly (readonly Candidate[])[],
  failures: readonly ReadonlySet<string>[],
  turn: number,
): NextRoutes {
  if (chain.some((stage) => stage.length === 0)) return { routes: [], isStuck: false };
  const search = new RouteSearch(chain, failures, turn);
  const isFirst = !chain.every((stage) => stage.some(({ isProven }) => isProven));
  const isBusy = chain.flat().some((each) => each.isBusy);
  const targets = chain
    .flatMap((stage, at) => stage.map((candidate) => ({ candidate, at })))
    .filter(({ candidate }) => !candidate.isProven && !candidate.isBusy)
    .sort((a, b) => Number(search.isSuspect(a.candidate)) - Number(search.isSuspect(b.candidate)));
  if (isFirst && isBusy) return { routes: [], isStuck: false };
  const routes: (readonly Candidate[])[] = [];
  let isOpen = false;
  for (const { candidate, at } of targets) {
    if (routes.some((route) => route.includes(candidate))) continue;
    const route = search.through(candidate, at, routes.flat());
    isOpen ||= route !== undefined;
    if (route === undefined || !candidate.isDue) continue;
    routes.push(route);
    if (isFirst) break;
  }
  return { routes, isStuck: targets.length > 0 && !isBusy && !isOpen };
}

class RouteSearch {
  readonly #chain: readonly (readonly Candidate[])[];
  readonly #failures: readonly ReadonlySet<string>[];
  readonly #turn: number;
  #steps = 0;

  constructor(chain: readonly (readonly Candidate[])[], failures: readonly ReadonlySet<string>[], turn: number) {
    this.#chain = chain;
    this.#failures = failures;
    this.#turn = turn;
  }

  isSuspect({ id }: Candidate): boolean {
    return this.#failures.some((failure) => failure.has(id));
  }

  /** A route through a candidate that no failure speaks against; `taken` are in other routes of this turn. */
  through(target: Candidate, at: number, taken: readonly Candidate[]): readonly Candidate[] | undefined {
    this.#steps = 0;
    const isAlone = this.isSuspect(target);
    const rank = (each: Candidate): number => {
      const isFresh = !each.isProven && !each.isBusy && !this.isSuspect(each) && !taken.includes(each);
      // A suspect is looked at alone, among proven ones; others are proven together.
      if (isFresh) return isAlone ? 1 : 0;
      if (each.isProven) return isAlone ? 0 : 1;
      return 2;
    };
    const options = this.#chain.map((stage, i) => {
      if (i === at) return [target];
      const turned = stage.map((_, k) => stage[(k + this.#turn) % stage.length] as Candidate);
      return turned.sort((a, b) => rank(a) - rank(b));
    });
    return this.#extend([], options);
  }

  #extend(route: readonly Candidate[], options: readonly (readonly Candidate[])[]): readonly Candidate[] | undefined {
    if (route.length === options.length) return route;
    for (const option of options[route.length] ?? []) {
      if (this.#steps++ > STEPS_MAX) return undefined;
      const longer = [...route, option];
      if (this.#isKnownWrong(longer)) continue;
      const found = this.#extend(longer, options);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #isKnownWrong(route: readonly Candidate[]): boolean {
    const ids = new Set(route.map(({ id }) => id));
    return this.#failures.some((failure) => [...failure].every((id) => ids.has(id)));
  }
}
