/**
 * A model as its caller holds it: drives the dispatcher of one model version with what comes in from links,
 * placements and the clock, and carries out what it decides.
 */
import type { Cancel, Clock, Random } from '@shoal/base';
import {
  MeshError,
  type AboutWork,
  type FailureMessage,
  type ModelInfo,
  type NamedTensors,
  type PeerId,
  type PlacementMessage,
  type RequestId,
  type ResultMessage,
} from '@shoal/protocol';
import {
  createDispatch,
  dispatch,
  flightKey,
  modelKey,
  nextWakeMs,
  type DispatchEvent,
  type Flight,
} from '@shoal/scheduling';
import type { Links } from '../links.ts';
import type { ModelFigures, PredictOptions } from '../sdk.ts';
import type { LoadKernels } from './boundary-codecs.ts';
import { FlightSender } from './flight-sender.ts';
import { modelFigures, TrafficCount } from './model-figures.ts';
import { checkRequest, PendingRequest, type CheckedRequest, type Outcome } from './pending-request.ts';
import { Releases } from './releases.ts';
import { readOutputs, type OutputPart } from './request-outputs.ts';
import { stageTraces } from './stage-traces.ts';

interface Arrival {
  /** Of each part of the microbatch. */
  readonly outputs: readonly OutputPart[];
  readonly result: ResultMessage;
}

export interface RunOptions extends PredictOptions {
  /** Names the stream that it is one input of. */
  readonly stream?: string;
}

export interface ModelClientParts {
  readonly self: PeerId;
  readonly links: Links;
  readonly clock: Clock;
  readonly random: Random;
  readonly loadKernels: LoadKernels;
  readonly info: ModelInfo;
  readonly placement: PlacementMessage;
}

export class ModelClient {
  readonly info: ModelInfo;
  /** Names the model version, as `modelKey` does. */
  readonly key: string;
  readonly #parts: ModelClientParts;
  readonly #state = createDispatch();
  readonly #traffic = new TrafficCount();
  readonly #pending = new Map<RequestId, PendingRequest>();
  readonly #releases: Releases;
  readonly #sender: FlightSender;
  #placement: PlacementMessage;
  #cancelAlarm: Cancel = () => {};
  #alarmAtMs: number | null = null;
  #closed = false;

  constructor(parts: ModelClientParts) {
    const { self, links, clock, loadKernels, info } = parts;
    this.#parts = parts;
    this.info = info;
    this.key = modelKey(info.model, info.version);
    this.#releases = new Releases(self, links, clock);
    this.#sender = new FlightSender({
      self,
      links,
      clock,
      loadKernels,
      info,
      traffic: this.#traffic,
      placement: () => this.#placement,
      isUnderWay: (flight) => this.#state.flights.get(flightKey(flight.requestId, flight.microbatch)) === flight,
      failed: (flight, node, error) => this.#fail(flight, 0, node, error),
    });
    this.#placement = parts.placement;
    this.setPlacement(parts.placement);
  }

  get placement(): PlacementMessage {
    return this.#placement;
  }

  get figures(): ModelFigures {
    return modelFigures(this.info, this.#state, this.#traffic);
  }

  /** Whether requests are under way. */
  get isBusy(): boolean {
    return this.#pending.size > 0;
  }

  setPlacement(placement: PlacementMessage): void {
    this.#placement = placement;
    const { code, reason, rowsMax, lingering } = placement;
    this.#feed({
      type: 'placement',
      nowMs: this.#parts.clock.nowMs(),
      epoch: placement.epoch,
      stages: placement.stages.map((stage) => stage.replicas),
      ...(rowsMax === undefined ? {} : { rowsMax }),
      ...(lingering === undefined ? {} : { lingering }),
      unserved: code === undefined ? null : { code, reason: reason ?? code },
    });
  }

  /**
   * Runs one request to its one outcome.
   * @throws MeshError by the deadline at the latest
   */
  async run(tensors: NamedTensors, options: RunOptions): Promise<Outcome> {
    const { clock, random, info } = this.#parts;
    if (this.#closed) throw new MeshError('CLOSED', 'this mesh was closed');
    const request = checkRequest(info, tensors, options, random);
    const { signal } = options;
    if (signal?.aborted === true) throw new MeshError('CANCELLED');
    const onAbort = (): void => this.cancel(request.id, new MeshError('CANCELLED'));
    try {
      return await new Promise<Outcome>((resolve, reject) => {
        const pending = new PendingRequest(request, clock, resolve, reject);
        this.#pending.set(request.id, pending);
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#submit(pending, options);
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(request.id);
    }
  }

  #submit({ request, startedAtMs, deadlineAtMs }: PendingRequest, { together = false, stream }: RunOptions): void {
    const { tensors, rows, rowsMax, splittable } = request.inputs;
    const staysWhole = together && rows <= Math.min(rowsMax, this.#placement.rowsMax ?? rowsMax);
    this.#feed({
      type: 'submit',
      nowMs: startedAtMs,
      requestId: request.id,
      rows,
      splittable: splittable && !staysWhole,
      rowsMax,
      stream: stream === undefined || together ? null : `${stream} ${rowKind(tensors)}`,
      deadlineAtMs,
    });
  }

  cancel(requestId: RequestId, error: MeshError): void {
    this.#feed({ type: 'cancel', nowMs: this.#parts.clock.nowMs(), requestId, error });
  }

  /** Fails everything that is under way. */
  close(): void {
    this.#closed = true;
    for (const requestId of [...this.#pending.keys()]) this.cancel(requestId, new MeshError('CLOSED'));
    this.#cancelAlarm();
    this.#releases.close();
  }

  /** The coordinator says that a node is gone: it is no candidate before a placement names it again. */
  nodeGone(node: PeerId, error: MeshError): void {
    const stages = this.#placement.stages.map(({ replicas }) => ({
      replicas: replicas.filter((replica) => replica.node !== node),
    }));
    this.#placement = { ...this.#placement, stages };
    this.#feed({ type: 'node-lost', nowMs: this.#parts.clock.nowMs(), node, error });
  }

  /** The link to a node broke: its work moves on, but it stays a candidate for as long as the placement names it. */
  linkLost(node: PeerId, error: MeshError): void {
    this.#feed({ type: 'node-lost', nowMs: this.#parts.clock.nowMs(), node, error });
    this.setPlacement(this.#placement);
  }

  /** Takes a message about one of this model's requests; false if it is about none of them. */
  take(from: PeerId, message: AboutWork, bodies: readonly Uint8Array[]): boolean {
    const { requestId, microbatch, attempt } = message;
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return false;
    const flight = this.#state.flights.get(flightKey(requestId, microbatch));
    // Late words about an earlier attempt, and words of peers that were not asked, do not count.
    if (flight?.attempt !== attempt || !(flight.route.includes(from) || flight.asked.includes(from))) return true;
    const about = { requestId, microbatch, attempt, nowMs: this.#parts.clock.nowMs() };
    switch (message.type) {
      case 'result':
        this.#takeResult(from, pending.request, flight, message, bodies);
        break;
      case 'failure':
        this.#takeFailure(from, flight, message);
        break;
      case 'lease':
        this.#feed({ type: 'lease', ...about, leaseMs: message.leaseMs });
        break;
      case 'work':
      case 'cancel':
      case 'resume':
        break;
    }
    return true;
  }

  /** A stage that cannot hand on what it made names the next one: that is the node to avoid. */
  #takeFailure(from: PeerId, flight: Flight, { stage, node, code, reason }: FailureMessage): void {
    this.#fail(flight, stage, flight.route.includes(node) ? node : from, new MeshError(code, reason));
  }

  #takeResult(
    from: PeerId,
    { signature, inputs }: CheckedRequest,
    flight: Flight,
    result: ResultMessage,
    bodies: readonly Uint8Array[],
  ): void {
    const { requestId, microbatch, attempt, timings } = result;
    const about = { requestId, microbatch, attempt, nowMs: this.#parts.clock.nowMs() };
    this.#traffic.received(result.tensors);
    let outputs: OutputPart[];
    try {
      outputs = readOutputs(signature, flight.parts, inputs.splittable, result, bodies);
    } catch (error) {
      const stage = flight.route.length - 1;
      this.#feed({ type: 'failure', ...about, stage, node: from, error: MeshError.from(error) });
      return;
    }
    this.#feed({ type: 'result', ...about, timings }, { outputs, result });
  }

  /** Hands an event to the dispatcher and carries out its decisions. */
  #feed(event: DispatchEvent, arrival?: Arrival): void {
    for (const effect of dispatch(this.#state, event)) {
      switch (effect.type) {
        case 'send':
          if (effect.flight.attempt > 1) this.#traffic.failovers += 1;
          this.#send(effect.flight, effect.epoch);
          break;
        case 'resume':
          void this.#sender.resume(effect.flight, effect.epoch);
          break;
        case 'revoke':
          this.#sender.revoke(effect.flight, effect.epoch);
          this.#releases.add(effect.flight);
          break;
        case 'accept':
          this.#releases.add(effect.flight);
          if (arrival !== undefined) this.#accept(effect.flight, arrival);
          break;
        case 'settle':
          this.#pending.get(effect.requestId)?.settle(effect.error);
          break;
      }
    }
    this.#setAlarm();
  }

  #send(flight: Flight, epoch: number): void {
    const pending = flight.parts.flatMap(({ requestId }) => this.#pending.get(requestId) ?? []);
    void this.#sender.send(flight, epoch, pending);
  }

  #accept(flight: Flight, { outputs, result }: Arrival): void {
    const { attempt, rows, parts, sentAtMs } = flight;
    const about = {
      attempts: attempt,
      carriedRows: rows,
      totalMs: this.#parts.clock.nowMs() - sentAtMs,
      inputs: this.#sender.written(flight),
      stages: stageTraces(result, this.#placement),
    };
    for (const [i, { requestId, start, end }] of parts.entries()) {
      this.#pending.get(requestId)?.add(outputs[i] as OutputPart, { rows: [start, end], ...about });
    }
  }

  #fail({ requestId, microbatch, attempt }: Flight, stage: number, node: PeerId, error: MeshError): void {
    const nowMs = this.#parts.clock.nowMs();
    this.#feed({ type: 'failure', nowMs, requestId, microbatch, attempt, stage, node, error });
  }

  #setAlarm(): void {
    const wakeMs = nextWakeMs(this.#state);
    if (wakeMs === this.#alarmAtMs) return;
    this.#cancelAlarm();
    this.#alarmAtMs = wakeMs;
    if (wakeMs === null) return;
    const { clock } = this.#parts;
    this.#cancelAlarm = clock.schedule(Math.max(0, wakeMs - clock.nowMs()), () => {
      this.#alarmAtMs = null;
      this.#feed({ type: 'tick', nowMs: clock.nowMs() });
    });
  }
}

/** Rows of one kind can follow one another in one tensor. */
const rowKind = (tensors: NamedTensors): string =>
  Object.entries(tensors)
    .map(([name, { shape }]) => `${name} ${shape.slice(1).join('x')}`)
    .sort()
    .join();
