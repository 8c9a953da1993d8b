/**
 * The production dispatcher on a virtual clock, among simulated nodes and a network that may drop, double and reorder
 * what it carries. A run is a function of its seed.
 */
import { seededRandom, type Random } from '@shoal/base';
import { MeshError, peerId, requestId, type PeerId, type ReasonCode, type RequestId } from '@shoal/protocol';
import type { DispatchConfig, DispatchEvent, DispatchState } from '../dispatch-state.ts';
import { createDispatch, dispatch, nextWakeMs } from '../dispatch.ts';
import type { HistoryEntry } from './dispatch-history.ts';
import { EventClock } from './event-clock.ts';
import {
  SimulatedNode,
  STEADY,
  type NodePort,
  type NodeTraits,
  type SimulatedResume,
  type SimulatedWork,
} from './simulated-node.ts';

export interface NetworkFaults {
  /** Share of messages that never arrive, and that arrive twice. */
  readonly dropRate: number;
  readonly duplicateRate: number;
  /** Up to so much is added to a message's way; unequal ways reorder messages. */
  readonly jitterMs: number;
}

const SOUND: NetworkFaults = { dropRate: 0, duplicateRate: 0, jitterMs: 0 };
/** More effects than this from one event means that the dispatcher goes round in circles. */
const EFFECTS_PER_EVENT_MAX = 20_000;
const EVENTS_MAX = 500_000;

/** Milliseconds one way on a link between two nodes, or the client (null) and a node. */
export type LinkMs = (from: PeerId | null, to: PeerId | null) => number;

export interface SimulationOptions {
  readonly seed: number;
  readonly faults?: Partial<NetworkFaults>;
  readonly config?: Partial<DispatchConfig>;
  /** What the coordinator says while a stage has no node: by default that it knows of none, so that nobody waits. */
  readonly unservedCode?: ReasonCode;
  /** By default the `latencyMs` of whichever end is farther. */
  readonly linkMs?: LinkMs;
  /** Time in which a row takes all of the link to a node, one row after another: by default none. */
  readonly linkMsPerRow?: LinkMs;
}

export interface SubmitOptions {
  readonly deadlineMs?: number;
  readonly splittable?: boolean;
  readonly rowsMax?: number;
  readonly stream?: string | null;
}

export class DispatchSimulation {
  readonly clock = new EventClock();
  readonly random: Random;
  readonly history: HistoryEntry[] = [];
  readonly state: DispatchState;
  readonly nodes = new Map<PeerId, SimulatedNode>();
  /** Times at which requests were submitted and settled. */
  readonly submittedAtMs = new Map<RequestId, number>();
  readonly settledAtMs = new Map<RequestId, number>();
  rowsSent = 0;
  microbatchesSent = 0;
  /** Of them, those with rows of several requests. */
  sharedMicrobatches = 0;
  /** Microbatches that went on from the middle of their route. */
  resumed = 0;
  readonly #faults: NetworkFaults;
  readonly #unservedCode: ReasonCode;
  readonly #linkMs: LinkMs;
  readonly #linkMsPerRow: LinkMs;
  /** When what was sent over a link, by its ends, has passed. */
  readonly #clearAtMs = new Map<string, number>();
  readonly #placed = new Set<SimulatedNode>();
  #stages = 1;
  #epoch = 0;
  #events = 0;
  #requestsMade = 0;
  #cancelWake = (): void => {};

  constructor({
    seed,
    faults = {},
    config = {},
    unservedCode = 'NO_CAPACITY',
    linkMs,
    linkMsPerRow,
  }: SimulationOptions) {
    this.random = seededRandom(seed);
    this.state = createDispatch(config);
    this.#faults = { ...SOUND, ...faults };
    this.#unservedCode = unservedCode;
    this.#linkMsPerRow = linkMsPerRow ?? (() => 0);
    this.#linkMs = linkMs ?? ((from, to) => Math.max(this.#latencyOf(from), this.#latencyOf(to)));
  }

  /** A node that is ready to serve; `place` tells the dispatcher of it. */
  add(name: string, traits: Partial<NodeTraits> = {}): SimulatedNode {
    const id = peerId(name);
    const node = new SimulatedNode(id, { ...STEADY, ...traits }, this.clock, this.random, this.#port);
    this.nodes.set(id, node);
    return node;
  }

  /**
   * Tells the dispatcher which nodes serve: every one that is alive. Under one partition a node keeps its stage, as in
   * production, and a newcomer takes the one with the fewest, or the one it is for.
   */
  place(stages: number = this.#stages, stageOf?: (newcomer: SimulatedNode) => number): void {
    const isRecut = stages !== this.#stages;
    if (isRecut) this.#epoch += 1;
    this.#stages = stages;
    const byStage = Array.from({ length: stages }, (): SimulatedNode[] => []);
    const alive = [...this.nodes.values()].filter((node) => node.alive);
    const isNew = (node: SimulatedNode): boolean => isRecut || !this.#placed.has(node);
    for (const node of alive) if (!isNew(node)) byStage[node.stage]?.push(node);
    for (const node of alive.filter(isNew)) {
      const counts = byStage.map((nodes) => nodes.length);
      node.stage = stageOf?.(node) ?? counts.indexOf(Math.min(...counts));
      node.stages = stages;
      byStage[node.stage]?.push(node);
      this.#placed.add(node);
    }
    this.#tellPlacement(byStage);
  }

  /** Rows of one request; its id, once told to the dispatcher. */
  submit(
    rows: number,
    { deadlineMs = 600_000, splittable = true, rowsMax = rows, stream = null }: SubmitOptions = {},
  ): RequestId {
    const id = requestId(`r${this.#requestsMade++}`);
    const atMs = this.clock.nowMs();
    const deadlineAtMs = atMs + deadlineMs;
    this.submittedAtMs.set(id, atMs);
    this.history.push({ type: 'submitted', atMs, requestId: id, rows, deadlineAtMs });
    this.#feed({ type: 'submit', nowMs: atMs, requestId: id, rows, splittable, rowsMax, stream, deadlineAtMs });
    return id;
  }

  cancel(id: RequestId): void {
    this.#feed({ type: 'cancel', nowMs: this.clock.nowMs(), requestId: id, error: new MeshError('CANCELLED') });
  }

  /** The node vanishes; it is noticed after `detectMs`, and placed anew without it. */
  kill(node: SimulatedNode, detectMs: number): void {
    node.alive = false;
    this.clock.schedule(detectMs, () => {
      this.#tellLost(node.id, new MeshError('PEER_LEFT'));
      this.place();
    });
  }

  /** The link to a node breaks, though both are well: told as production tells it, lost and placed again at once. */
  breakLink(node: SimulatedNode): void {
    this.#tellLost(node.id, new MeshError('LINK_FAILED'));
    this.place();
  }

  run(untilMs: number): void {
    this.clock.runUntil(untilMs);
  }

  /** Runs until all requests are over; the virtual time of the last outcome. */
  runToEnd(): number {
    this.clock.runUntil(this.clock.nowMs() + 3_600_000);
    return Math.max(...this.settledAtMs.values());
  }

  /** What the dispatcher still has on its books; nothing, once all requests are over. */
  leftovers(): string[] {
    const { requests, flights, stalled, fresh, returned, waitingRows, stages } = this.state;
    const counts = {
      requests: requests.size,
      flights: flights.size,
      stalled: stalled.size,
      fresh: fresh.size,
      returned: returned.size,
      waitingRows,
    };
    const left = Object.entries(counts).filter(([, count]) => count !== 0);
    const busy = stages.flatMap((stage) => [...stage.values()].filter(({ inFlight }) => inFlight !== 0));
    return [...left.map(([name, count]) => `${name}: ${count}`), ...busy.map(({ node }) => `${node} has work booked`)];
  }

  #tellLost(node: PeerId, error: MeshError): void {
    const nowMs = this.clock.nowMs();
    this.history.push({ type: 'lost', atMs: nowMs, node });
    this.#feed({ type: 'node-lost', nowMs, node, error });
  }

  #tellPlacement(byStage: readonly (readonly SimulatedNode[])[]): void {
    const nowMs = this.clock.nowMs();
    const served = byStage.every((nodes) => nodes.length > 0);
    this.history.push({ type: 'placed', atMs: nowMs, nodes: byStage.flat().map(({ id }) => id) });
    const stages = byStage.map((nodes) =>
      nodes.map((node) => ({ node: node.id, msPerRow: node.stageMsPerRow * node.traits.claim })),
    );
    const unserved = served ? null : { code: this.#unservedCode, reason: 'a stage has no node' };
    this.#feed({ type: 'placement', nowMs, epoch: this.#epoch, stages, unserved });
  }

  /** The driver: carries out what the dispatcher decides. */
  #feed(event: DispatchEvent, arrived?: SimulatedWork): void {
    if (++this.#events > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events: the run goes round in circles`);
    const effects = dispatch(this.state, event);
    if (effects.length > EFFECTS_PER_EVENT_MAX) throw new Error(`${effects.length} effects of one ${event.type} event`);
    const atMs = event.nowMs;
    for (const effect of effects) {
      switch (effect.type) {
        case 'send': {
          const { requestId: id, microbatch, attempt, route, parts, rows } = effect.flight;
          for (const part of parts) this.history.push({ type: 'sent', atMs, requestId: part.requestId, route });
          this.rowsSent += rows;
          this.microbatchesSent += 1;
          if (parts.length > 1) this.sharedMicrobatches += 1;
          const about = { requestId: id, microbatch, attempt, route, parts, rows };
          this.#toNode(route[0]!, null, { ...about, stage: 0, timings: [] });
          break;
        }
        case 'resume': {
          const { requestId: id, microbatch, attempt, route, asked, parts } = effect.flight;
          for (const part of parts) this.history.push({ type: 'sent', atMs, requestId: part.requestId, route });
          this.resumed += 1;
          this.#ask(null, { requestId: id, microbatch, attempt, route, ask: asked });
          break;
        }
        case 'revoke': {
          const { requestId: id, microbatch, route } = effect.flight;
          for (const node of route) {
            this.#carry(this.#linkMs(null, node), () => this.nodes.get(node)?.revoke(id, microbatch));
          }
          break;
        }
        case 'accept': {
          if (arrived === undefined) throw new Error(`accept without a result, of a ${event.type} event`);
          const { requestId: id, parts, microbatch, route, timings } = arrived;
          if (timings.some(({ stage }, i) => stage !== i) || timings.length !== route.length) {
            throw new Error(`${id}: accepted after stages ${timings.map(({ stage }) => stage).join(', ')}`);
          }
          for (const node of route) {
            this.#carry(this.#linkMs(null, node), () => this.nodes.get(node)?.release(microbatch));
          }
          for (const part of parts) this.history.push({ type: 'accepted', atMs, ...part });
          break;
        }
        case 'settle': {
          const code = effect.error?.code ?? null;
          this.settledAtMs.set(effect.requestId, atMs);
          this.history.push({ type: 'settled', atMs, requestId: effect.requestId, code });
          break;
        }
      }
    }
    this.#setWake();
  }

  #setWake(): void {
    this.#cancelWake();
    const wakeMs = nextWakeMs(this.state);
    if (wakeMs === null) return;
    const nowMs = this.clock.nowMs();
    if (wakeMs <= nowMs) throw new Error(`nextWakeMs is ${wakeMs} at ${nowMs}: the driver would spin`);
    this.#cancelWake = this.clock.schedule(wakeMs - nowMs, () =>
      this.#feed({ type: 'tick', nowMs: this.clock.nowMs() }),
    );
  }

  readonly #port: NodePort = {
    forward: (from, work) => this.#toNode(work.route[work.stage]!, from, work),
    result: (from, work) =>
      this.#carry(this.#linkMs(from.id, null), () => {
        const { requestId: id, microbatch, attempt, timings } = work;
        this.#feed({ type: 'result', nowMs: this.clock.nowMs(), requestId: id, microbatch, attempt, timings }, work);
      }),
    failure: (from, work, code: ReasonCode) =>
      this.#carry(this.#linkMs(from.id, null), () => {
        const { requestId: id, microbatch, attempt } = work;
        const error = new MeshError(code);
        const nowMs = this.clock.nowMs();
        const about = { requestId: id, microbatch, attempt, stage: work.stage, node: from.id };
        this.#feed({ type: 'failure', nowMs, ...about, error });
      }),
    resume: (from, message) => this.#ask(from.id, message),
    lease: (from, work, leaseMs) =>
      this.#carry(this.#linkMs(from.id, null), () => {
        const { requestId: id, microbatch, attempt } = work;
        this.#feed({ type: 'lease', nowMs: this.clock.nowMs(), requestId: id, microbatch, attempt, leaseMs });
      }),
  };

  /** Asks the first of those to ask; where nobody is left, whoever waits is told. */
  #ask(from: PeerId | null, message: SimulatedResume): void {
    const [next] = message.ask;
    if (next !== undefined) {
      this.#carry(this.#linkMs(from, next), () => this.nodes.get(next)?.resume(message));
      return;
    }
    this.#carry(this.#linkMs(from, null), () => {
      const { requestId: id, microbatch, attempt, route } = message;
      const about = { requestId: id, microbatch, attempt, stage: 0, node: route[0]! };
      this.#feed({ type: 'failure', nowMs: this.clock.nowMs(), ...about, error: new MeshError('NOT_KEPT') });
    });
  }

  #toNode(to: PeerId, from: SimulatedNode | null, work: SimulatedWork): void {
    const { rows } = work;
    const nowMs = this.clock.nowMs();
    const link = `${from?.id ?? ''} ${to}`;
    const clearAtMs = Math.max(nowMs, this.#clearAtMs.get(link) ?? 0) + rows * this.#linkMsPerRow(from?.id ?? null, to);
    this.#clearAtMs.set(link, clearAtMs);
    this.#carry(clearAtMs - nowMs + this.#linkMs(from?.id ?? null, to), () => this.nodes.get(to)?.receive(work));
  }

  #carry(latencyMs: number, deliver: () => void): void {
    const { dropRate, duplicateRate, jitterMs } = this.#faults;
    if (this.random.next() < dropRate) return;
    this.clock.schedule(latencyMs + jitterMs * this.random.next(), deliver);
    if (this.random.next() < duplicateRate) this.clock.schedule(latencyMs + jitterMs * this.random.next(), deliver);
  }

  #latencyOf(node: PeerId | null): number {
    return node === null ? 0 : (this.nodes.get(node)?.traits.latencyMs ?? 0);
  }
}
