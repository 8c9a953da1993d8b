/**
 * A model as its caller holds it: drives the dispatcher of one model version with what comes in from links,
 * placements and the clock, and carries out what it decides.
 */
import type { Cancel, Clock, Random } from '@shoal/base';
import {
  DEFAULT_SIGNATURE,
  MeshError,
  REQUEST_DEADLINE_MS_DEFAULT,
  REQUEST_DEADLINE_MS_MAX,
  requestId as parseRequestId,
  type AboutWork,
  type FailureMessage,
  type ModelInfo,
  type NamedTensors,
  type PeerId,
  type PlacementMessage,
  type RequestId,
  type ResultMessage,
  type Signature,
  type StageTiming,
  type TensorData,
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
import type { MicrobatchTrace, ModelFigures, PredictOptions, StageTrace, WrittenInputs } from '../sdk.ts';
import { checkInputs, rowsOf, signatureOf, type CheckedInputs } from '@shoal/sharding';
import { BoundaryCodecs, checkedErrorBudget, errorAt, type LoadKernels } from './boundary-codecs.ts';
import { TrafficCount } from './model-figures.ts';
import { Releases } from './releases.ts';
import { joinOutputs, readOutputs, type OutputPart } from './request-outputs.ts';

/** A request's outcome in plain tensors. */
export interface Outcome {
  readonly requestId: RequestId;
  readonly outputs: Record<string, TensorData>;
  readonly totalMs: number;
  readonly microbatches: readonly MicrobatchTrace[];
}

interface Pending {
  readonly inputs: CheckedInputs;
  readonly signatureName: string;
  readonly signature: Signature;
  readonly startedAtMs: number;
  readonly deadlineAtMs: number;
  readonly errorBudget: number;
  readonly parts: OutputPart[];
  readonly traces: MicrobatchTrace[];
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: MeshError) => void;
}

interface Arrival {
  readonly part: OutputPart;
  readonly result: ResultMessage;
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
  readonly #pending = new Map<RequestId, Pending>();
  readonly #releases: Releases;
  /** How the inputs of flights were written. */
  readonly #sent = new WeakMap<Flight, WrittenInputs>();
  readonly #codecs: BoundaryCodecs;
  #placement: PlacementMessage;
  #cancelAlarm: Cancel = () => {};
  #alarmAtMs: number | null = null;
  #closed = false;

  constructor(parts: ModelClientParts) {
    this.#parts = parts;
    this.info = parts.info;
    this.key = modelKey(parts.info.model, parts.info.version);
    this.#releases = new Releases(parts.self, parts.links, parts.clock);
    this.#codecs = new BoundaryCodecs(parts.loadKernels);
    this.#placement = parts.placement;
    this.setPlacement(parts.placement);
  }

  get placement(): PlacementMessage {
    return this.#placement;
  }

  get figures(): ModelFigures {
    const { waitingRows, flights, microbatchesMade, hedgesMade } = this.#state;
    return {
      model: this.info.model,
      version: this.info.version,
      waitingRows,
      underWay: flights.size,
      microbatches: microbatchesMade,
      hedges: hedgesMade,
      failovers: this.#traffic.failovers,
      ...this.#traffic.bytes,
    };
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
  async run(tensors: NamedTensors, options: PredictOptions): Promise<Outcome> {
    const { clock, random, info } = this.#parts;
    if (this.#closed) throw new MeshError('CLOSED', 'this mesh was closed');
    const signatureName = options.signature ?? DEFAULT_SIGNATURE;
    const signature = signatureOf(info, signatureName);
    const inputs = checkInputs(info, signature, tensors);
    const deadlineMs = requestDeadlineMs(options);
    const errorBudget = checkedErrorBudget(options.errorBudget ?? info.errorBudget ?? 0);
    const requestId = parseRequestId(options.requestId ?? random.id());
    const { signal } = options;
    if (signal?.aborted === true) throw new MeshError('CANCELLED');
    const startedAtMs = clock.nowMs();
    const deadlineAtMs = startedAtMs + deadlineMs;
    const onAbort = (): void => this.cancel(requestId, new MeshError('CANCELLED'));
    try {
      return await new Promise<Outcome>((resolve, reject) => {
        const pending: Pending = {
          inputs,
          signatureName,
          signature,
          startedAtMs,
          deadlineAtMs,
          errorBudget,
          parts: [],
          traces: [],
          resolve,
          reject,
        };
        this.#pending.set(requestId, pending);
        signal?.addEventListener('abort', onAbort, { once: true });
        const { rows, rowsMax } = inputs;
        const staysWhole = options.together === true && rows <= Math.min(rowsMax, this.#placement.rowsMax ?? rowsMax);
        const splittable = inputs.splittable && !staysWhole;
        this.#feed({ type: 'submit', nowMs: startedAtMs, requestId, rows, splittable, rowsMax, deadlineAtMs });
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(requestId);
    }
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
        this.#takeResult(from, pending, flight, message, bodies);
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
  #takeFailure(from: PeerId, { route }: Flight, message: FailureMessage): void {
    const { requestId, microbatch, attempt, stage, code, reason } = message;
    const node = route.includes(message.node) ? message.node : from;
    const about = { requestId, microbatch, attempt, stage, node, nowMs: this.#parts.clock.nowMs() };
    this.#feed({ type: 'failure', ...about, error: new MeshError(code, reason) });
  }

  #takeResult(
    from: PeerId,
    pending: Pending,
    flight: Flight,
    result: ResultMessage,
    bodies: readonly Uint8Array[],
  ): void {
    const { requestId, microbatch, attempt, timings } = result;
    const about = { requestId, microbatch, attempt, nowMs: this.#parts.clock.nowMs() };
    const { signature, inputs } = pending;
    this.#traffic.received(result.tensors);
    let part: OutputPart;
    try {
      part = readOutputs(signature, flight.span, inputs.splittable, result, bodies);
    } catch (error) {
      const stage = flight.route.length - 1;
      this.#feed({ type: 'failure', ...about, stage, node: from, error: MeshError.from(error) });
      return;
    }
    this.#feed({ type: 'result', ...about, timings }, { part, result });
  }

  /** Hands an event to the dispatcher and carries out its decisions. */
  #feed(event: DispatchEvent, arrival?: Arrival): void {
    for (const effect of dispatch(this.#state, event)) {
      switch (effect.type) {
        case 'send':
          if (effect.flight.attempt > 1) this.#traffic.failovers += 1;
          void this.#send(effect.flight, effect.epoch);
          break;
        case 'resume':
          void this.#resume(effect.flight, effect.epoch);
          break;
        case 'revoke':
          this.#revoke(effect.flight, effect.epoch);
          this.#releases.add(effect.flight);
          break;
        case 'accept':
          this.#releases.add(effect.flight);
          if (arrival !== undefined) this.#accept(effect.flight, arrival);
          break;
        case 'settle':
          this.#settle(effect.requestId, effect.error);
          break;
      }
    }
    this.#setAlarm();
  }

  async #send(flight: Flight, epoch: number): Promise<void> {
    const { links, self, clock, info } = this.#parts;
    const { requestId, microbatch, attempt, span, route } = flight;
    const [first] = route;
    const pending = this.#pending.get(requestId);
    if (pending === undefined || first === undefined) return;
    try {
      const link = links.get(first) ?? (await links.reach(first));
      // The dial took time: the work may be settled or given to another by now.
      if (this.#state.flights.get(flightKey(requestId, microbatch)) !== flight) return;
      const { inputs, signatureName, deadlineAtMs, errorBudget } = pending;
      const codecs = this.#codecs.within(errorBudget, this.#placement);
      const named = Object.entries(inputs.tensors).map(
        ([name, tensor]) => [name, inputs.splittable ? rowsOf(tensor, span.start, span.end) : tensor] as const,
      );
      const { encoded, sent } = this.#codecs.encode(named, codecs[0], link.figures.sendBytesPerMs, clock);
      this.#sent.set(flight, { ...sent, error: errorAt(this.#placement, 0, sent.codec) });
      const tensors = encoded.map(({ header }) => header);
      this.#traffic.sent(tensors);
      await link.send(
        {
          type: 'work',
          requestId,
          microbatch,
          attempt,
          epoch,
          model: info.model,
          version: info.version,
          signature: signatureName,
          stage: 0,
          route: [...route],
          replyTo: self,
          ...(codecs.length === 0 ? {} : { codecs: [...codecs] }),
          rows: span.end - span.start,
          deadlineMs: Math.min(REQUEST_DEADLINE_MS_MAX, Math.max(0, deadlineAtMs - clock.nowMs())),
          timings: [],
          tensors,
        },
        encoded.map(({ data }) => data),
      );
    } catch (error) {
      const meshError = sendError(error);
      this.#feed({
        type: 'failure',
        nowMs: clock.nowMs(),
        requestId,
        microbatch,
        attempt,
        stage: 0,
        node: first,
        error: meshError,
      });
    }
  }

  /** Asks those who may have it to go on with a microbatch along its new route. */
  async #resume(flight: Flight, epoch: number): Promise<void> {
    const { links, self, clock } = this.#parts;
    const { requestId, microbatch, attempt, route, asked } = flight;
    const key = { requestId, microbatch, attempt };
    for (const [i, peer] of asked.entries()) {
      try {
        const link = links.get(peer) ?? (await links.reach(peer));
        // The dial took time: the work may be settled or given to another by now.
        if (this.#state.flights.get(flightKey(requestId, microbatch)) !== flight) return;
        const ask = asked.slice(i + 1);
        return await link.send({ type: 'resume', ...key, epoch, route: [...route], replyTo: self, ask });
      } catch {
        // Perhaps the one before it has kept what it was given.
      }
    }
    const about = { ...key, stage: 0, node: route[0] as PeerId, nowMs: clock.nowMs() };
    this.#feed({ type: 'failure', ...about, error: new MeshError('NOT_KEPT') });
  }

  #revoke(flight: Flight, epoch: number): void {
    const { requestId, microbatch, attempt, route } = flight;
    for (const node of route) {
      const sent = this.#parts.links.get(node)?.send({ type: 'cancel', requestId, microbatch, attempt, epoch });
      // A link that ends before the cancel is out needs none: its node drops the work with it.
      sent?.catch(() => {});
    }
  }

  #accept(flight: Flight, { part, result }: Arrival): void {
    const pending = this.#pending.get(flight.requestId);
    if (pending === undefined) return;
    pending.parts.push(part);
    pending.traces.push({
      rows: [part.start, part.end],
      attempts: flight.attempt,
      totalMs: this.#parts.clock.nowMs() - flight.sentAtMs,
      inputs: this.#sent.get(flight) ?? null,
      stages: result.timings.map((timing) => this.#stageTrace(timing, result.epoch)),
    });
  }

  /** Of work that began under an earlier placement the measures are not at hand. */
  #stageTrace({ wrote, ...timing }: StageTiming, epoch: number): StageTrace {
    const { stages, epoch: now, boundaries = [] } = this.#placement;
    const replica = stages.flatMap(({ replicas }) => replicas).find(({ node }) => node === timing.node);
    const measured = { ...this.#placement, boundaries: epoch === now ? boundaries : [] };
    return {
      ...timing,
      nodeName: replica?.name ?? timing.node,
      backend: replica?.backend ?? null,
      ...(wrote === undefined ? {} : { wrote: { ...wrote, error: errorAt(measured, timing.stage + 1, wrote.codec) } }),
    };
  }

  #settle(requestId: RequestId, error: MeshError | null): void {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return;
    if (error !== null) return pending.reject(error);
    try {
      pending.resolve({
        requestId,
        outputs: joinOutputs(pending.signature, pending.parts),
        totalMs: this.#parts.clock.nowMs() - pending.startedAtMs,
        microbatches: [...pending.traces].sort((a, b) => a.rows[0] - b.rows[0]),
      });
    } catch (joinError) {
      pending.reject(MeshError.from(joinError));
    }
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

/** What the caller itself did wrong is final; whatever else befalls a link is worth another node. */
function sendError(error: unknown): MeshError {
  const meshError = MeshError.from(error, 'LINK_FAILED');
  if (meshError.retryable || meshError.code === 'TOO_LARGE') return meshError;
  return new MeshError('LINK_FAILED', meshError.message, { cause: meshError });
}

/**
 * Time that a request has.
 * @throws MeshError BAD_INPUT
 */
export function requestDeadlineMs({ deadlineMs = REQUEST_DEADLINE_MS_DEFAULT }: PredictOptions): number {
  if (deadlineMs > 0 && deadlineMs <= REQUEST_DEADLINE_MS_MAX) return deadlineMs;
  throw new MeshError('BAD_INPUT', `deadlineMs is ${deadlineMs}, limit above 0 to ${REQUEST_DEADLINE_MS_MAX}`);
}
