/** Makes a node hold what it is assigned: fetches, prepares, loads and proves each stage, and reports how far it is. */
import { withDeadline, type Clock } from '@shoal/base';
import {
  MeshError,
  type AssignMessage,
  type ProvenMessage,
  type ReasonCode,
  type UnassignMessage,
  type UpMessage,
} from '@shoal/protocol';
import type { Manifest } from '@shoal/sharding';
import type { Executor } from './executor.ts';
import { fetchManifest, fetchShards, shardBytes, type FetchParts, type OnShard } from './fetch-model.ts';
import { prepareStage, type PreparedStage } from './prepare-stage.ts';
import { selfTest, tryStage } from './self-test.ts';
import { addTaken, type HeldAssignment, type StageHolder } from './stage-holder.ts';

/** For loading a model, and for its self-test: a software GPU needs a minute to compile an image model's shaders. */
const PREPARE_DEADLINE_MS = 180_000;

export interface StageLoaderParts {
  readonly holder: StageHolder;
  readonly clock: Clock;
  readonly memoryBytesMax: number;
  readonly executor: () => Executor;
  readonly fetchParts: (signal: AbortSignal) => FetchParts;
  readonly send: (message: UpMessage) => void;
  readonly log: (code: ReasonCode, text: string) => void;
  readonly onShard: OnShard;
  /** Something that is held is further than it was. */
  readonly onProgress: () => void;
  /** Something that is held is in another state. */
  readonly onState: () => void;
}

interface FetchedStage {
  readonly manifest: Manifest;
  readonly prepared: PreparedStage;
  /** The weight files, one after another. */
  readonly weights: Uint8Array<ArrayBuffer>;
}

export class StageLoader {
  readonly #parts: StageLoaderParts;
  /** Assignments are loaded one after another: they share the device and the wire. */
  #loading: Promise<void> = Promise.resolve();

  constructor(parts: StageLoaderParts) {
    this.#parts = parts;
  }

  take(message: AssignMessage): void {
    const { holder } = this.#parts;
    const known = holder.adopt(message);
    if (known !== undefined) return this.#report(known);
    const held = holder.add(message);
    this.#loading = this.#loading.then(() => this.#load(held));
  }

  giveUp({ assignmentId, code, reason }: UnassignMessage): void {
    const { holder, executor, log, onState } = this.#parts;
    const held = holder.remove(assignmentId);
    if (held === undefined) return;
    log(code, reason);
    held.abort.abort();
    if (held.loaded)
      void executor()
        .unload(held.stageId)
        .catch(() => {});
    onState();
  }

  /** A route through what is held has proven it. */
  onProven({ assignmentId, vectors }: ProvenMessage): void {
    const held = this.#parts.holder.noteProven(assignmentId, vectors);
    if (held !== undefined) this.#parts.onProgress();
  }

  /** All that is held is loaded and proven anew, once the new executor is ready. */
  restart(ready: Promise<void>): void {
    this.#loading = ready;
    for (const held of this.#parts.holder.restart()) {
      this.#report(held);
      this.#loading = this.#loading.then(() => this.#load(held));
    }
  }

  /** Nothing more is fetched or loaded. */
  stop(): void {
    this.#parts.holder.abort();
  }

  /** Its end is reported either way. */
  async #load(held: HeldAssignment): Promise<void> {
    const { model, version, stage, stages } = held.message;
    const what = `${stages === 1 ? model : `stage ${stage + 1} of ${stages} of ${model}`} version ${version}`;
    const executor = this.#parts.executor();
    try {
      const loaded = await this.#fetch(held, what);
      await this.#prove(held, what, executor, loaded);
    } catch (error) {
      if (held.abort.signal.aborted || executor !== this.#parts.executor()) return;
      const failure = MeshError.from(error, 'EXECUTION_FAILED');
      if (held.loaded) await executor.unload(held.stageId).catch(() => {});
      held.loaded = false;
      this.#parts.log(failure.code, `${what}: ${failure.reason}`);
      this.#advance(held, { state: 'failed', code: failure.code, reason: failure.reason });
    } finally {
      this.#parts.onState();
    }
  }

  async #fetch(held: HeldAssignment, what: string): Promise<FetchedStage> {
    const { manifestPath, manifestDigest } = held.message;
    const parts = this.#parts.fetchParts(held.abort.signal);
    this.#advance(held, { state: 'fetching', code: 'FETCHING', reason: `downloading ${what}` });
    const manifest = await fetchManifest(manifestPath, manifestDigest, parts);
    held.manifest = manifest;
    held.bytesTotal = shardBytes(manifest.topology);
    const onShard: OnShard = (bytes, origin) => {
      held.bytesDone += bytes;
      held.taken = addTaken(held.taken, bytes, origin);
      this.#parts.onShard(bytes, origin);
      this.#report(held);
    };
    const prepared = await prepareStage(manifest, held.message, parts, onShard);
    this.#checkMemory(prepared.memoryBytes, held);
    held.prepared = prepared;
    held.bytesTotal += shardBytes(prepared.shards);
    const weights = await fetchShards(manifest, prepared.shards, parts, onShard);
    return { manifest, prepared, weights };
  }

  async #prove(
    held: HeldAssignment,
    what: string,
    executor: Executor,
    { manifest, prepared, weights }: FetchedStage,
  ): Promise<void> {
    held.selfTestTotal = manifest.golden.length;
    this.#advance(held, { state: 'testing', code: 'SELF_TESTING', reason: `proving ${what} on this device` });
    await this.#bounded(
      `loading ${what}`,
      executor.load({
        id: held.stageId,
        format: manifest.format,
        // The executor takes the bytes over; what is prepared stays as it is.
        topology: prepared.topology.slice(),
        weights,
        signatures: prepared.signatures,
      }),
    );
    held.loaded = true;
    const onPassed = (passed: number): void => {
      held.selfTestPassed = passed;
      this.#report(held);
    };
    const proof = await this.#bounded(
      `the self-test of ${what}`,
      prepared.isWhole
        ? selfTest(executor, held.stageId, manifest, onPassed)
        : tryStage(executor, held.stageId, prepared),
    );
    held.msPerRow = proof.msPerRow;
    const unproven =
      manifest.golden.length === 0
        ? 'unproven: the model has no golden vectors'
        : 'to be proven by golden vectors over a route through it';
    this.#advance(held, { state: 'ready', code: 'IDLE', reason: prepared.isWhole ? '' : unproven });
    const proven = prepared.isWhole ? `${proof.passed} of ${proof.total} golden vectors` : unproven;
    this.#parts.log('IDLE', `${what} is ready: ${proven}, ${proof.msPerRow.toFixed(2)} ms a row`);
  }

  /** A device that hangs in its first run would hold up everything behind it. */
  #bounded<T>(what: string, work: Promise<T>): Promise<T> {
    return withDeadline(work, {
      clock: this.#parts.clock,
      deadlineMs: PREPARE_DEADLINE_MS,
      onDeadline: () => new MeshError('EXECUTION_FAILED', `${what} took longer than ${PREPARE_DEADLINE_MS} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
  }

  #checkMemory(neededBytes: number, held: HeldAssignment): void {
    const { holder, memoryBytesMax } = this.#parts;
    const usedBytes = holder.memoryBytes(held);
    if (usedBytes + neededBytes <= memoryBytesMax) return;
    throw new MeshError(
      'MEMORY_LIMIT',
      `needs ${neededBytes} bytes, ${memoryBytesMax - usedBytes} of ${memoryBytesMax} are free`,
    );
  }

  #advance(held: HeldAssignment, to: Pick<HeldAssignment, 'state' | 'code' | 'reason'>): void {
    Object.assign(held, to);
    this.#report(held);
    this.#parts.onState();
  }

  /** Tells the coordinator where a stage stands, under each assignment that asks for it. */
  #report(held: HeldAssignment): void {
    const { state, bytesDone, bytesTotal, selfTestPassed, selfTestTotal, msPerRow, code, reason } = held;
    for (const assignmentId of held.assignments.keys()) {
      this.#parts.send({
        type: 'assignment',
        assignmentId,
        state,
        bytesDone,
        bytesTotal,
        selfTestPassed,
        selfTestTotal,
        code,
        ...(msPerRow === null ? {} : { msPerRow }),
        ...(reason === '' ? {} : { reason: reason.slice(0, 2000) }),
      });
    }
    this.#parts.onProgress();
  }
}
