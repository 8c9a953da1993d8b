/** A node's device: its backends measured, one executor in use, and a fresh one in the place of each that dies. */
import type { Clock } from '@shoal/base';
import { MeshError, type BackendName, type BackendReport } from '@shoal/protocol';
import { chooseBackend } from './choose-backend.ts';
import type { Executor } from './executor.ts';

/** An executor that crashes again within this time of its start is not started a fourth time. */
const CRASHES_MAX = 3;
const CRASH_WINDOW_MS = 60_000;

export interface DeviceParts {
  /** Makes a fresh executor, at the start and after each crash. */
  readonly fresh: () => Executor;
  readonly clock: Clock;
  /** The executor in use has died by itself. */
  readonly onCrash: (reason: string) => void;
}

export class Device {
  readonly #parts: DeviceParts;
  #executor: Executor;
  #backend: BackendName | null = null;
  #reports: readonly BackendReport[] = [];
  #lackedOps: readonly string[] = [];
  #crashesAtMs: number[] = [];

  constructor(parts: DeviceParts) {
    this.#parts = parts;
    this.#executor = parts.fresh();
  }

  /** The one in use now. */
  get executor(): Executor {
    return this.#executor;
  }

  /** The fastest backend that is right, null before it is known. */
  get backend(): BackendName | null {
    return this.#backend;
  }

  get reports(): readonly BackendReport[] {
    return this.#reports;
  }

  /** Operations of models that its backend cannot run. */
  get lackedOps(): readonly string[] {
    return this.#lackedOps;
  }

  /**
   * Times the backends and takes the fastest that gives right numbers.
   * @throws MeshError BACKEND_UNAVAILABLE
   */
  async measure(only: BackendName | undefined): Promise<void> {
    const { fresh, clock } = this.#parts;
    const choice = await chooseBackend({ executor: this.#executor, fresh, clock, only });
    this.#executor = choice.executor;
    this.#reports = choice.reports;
    this.#backend = choice.backend;
    await this.#executor.use(choice.backend);
    this.#lackedOps = await this.#executor.lackedOps();
    this.#watch();
  }

  /**
   * Ends an executor that is dead or stuck and puts a fresh one in its place; settles when that one has its backend.
   * @throws MeshError BACKEND_UNAVAILABLE at once where this happens too often, and later where the backend is gone
   */
  replace(backend: BackendName, reason: string): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    this.#crashesAtMs = [...this.#crashesAtMs.filter((atMs) => nowMs - atMs < CRASH_WINDOW_MS), nowMs];
    this.#executor.stop();
    if (this.#crashesAtMs.length > CRASHES_MAX) {
      const often = `${CRASHES_MAX + 1} executor failures in a minute, the last: ${reason}`;
      throw new MeshError('BACKEND_UNAVAILABLE', often);
    }
    this.#executor = this.#parts.fresh();
    this.#watch();
    return this.#executor.use(backend).catch((error: unknown) => {
      throw MeshError.from(error, 'BACKEND_UNAVAILABLE');
    });
  }

  stop(): void {
    this.#executor.stop();
  }

  #watch(): void {
    const executor = this.#executor;
    executor.onCrash((reason) => {
      if (executor === this.#executor) this.#parts.onCrash(reason);
    });
  }
}
