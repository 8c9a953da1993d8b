/** The choice of backend is measured: every one is timed on the same small graph, the fastest that is right serves. */
import { withDeadline, type Clock } from '@shoal/base';
import { MeshError, type BackendName, type BackendReport } from '@shoal/protocol';
import type { Executor } from './executor.ts';

/** Compiling shaders on a software adapter takes seconds; a backend that needs longer than this is of no use. */
const MEASURE_DEADLINE_MS = 30_000;

export interface ChooseBackendParts {
  readonly executor: Executor;
  /** A fresh executor, for when one hangs. */
  readonly fresh: () => Executor;
  readonly clock: Clock;
  /** The only backend to consider. */
  readonly only: BackendName | undefined;
}

export interface BackendChoice {
  readonly backend: BackendName;
  readonly reports: readonly BackendReport[];
  /** The executor to go on with: another than was given if that one hung. */
  readonly executor: Executor;
}

/** @throws MeshError BACKEND_UNAVAILABLE with what each backend said */
export async function chooseBackend(parts: ChooseBackendParts): Promise<BackendChoice> {
  let { executor } = parts;
  const available = await bounded(executor.available(), parts.clock, 'listing the backends');
  const candidates = parts.only === undefined ? available : [parts.only];
  const reports: BackendReport[] = [];
  for (const backend of candidates) {
    if (!available.includes(backend)) {
      reports.push({ backend, ok: false, runMs: null, reason: 'not available here' });
      continue;
    }
    try {
      reports.push(await bounded(executor.measure(backend), parts.clock, `measuring ${backend}`));
    } catch (error) {
      reports.push({ backend, ok: false, runMs: null, reason: MeshError.from(error).reason.slice(0, 500) });
      executor.stop();
      executor = parts.fresh();
    }
  }
  const right = reports.filter((report) => report.ok);
  const fastest = right.sort((a, b) => (a.runMs ?? Infinity) - (b.runMs ?? Infinity))[0];
  if (fastest === undefined) {
    const said = reports.map(({ backend, reason }) => `${backend}: ${reason ?? 'wrong numbers'}`).join('; ');
    executor.stop();
    throw new MeshError('BACKEND_UNAVAILABLE', said === '' ? 'this platform has no backend' : said);
  }
  return { backend: fastest.backend, reports, executor };
}

const bounded = <T>(work: Promise<T>, clock: Clock, what: string): Promise<T> =>
  withDeadline(work, {
    clock,
    deadlineMs: MEASURE_DEADLINE_MS,
    onDeadline: () => new MeshError('BACKEND_UNAVAILABLE', `${what} took longer than ${MEASURE_DEADLINE_MS} ms`),
    onAbort: () => new MeshError('CANCELLED'),
  });
