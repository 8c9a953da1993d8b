/**
 * A coordinator's picture with nodes that do as they are told: they fetch for a while, prove themselves, work at their speed,
 * come and go. Time passes in steps; after each, what must always hold is looked at.
 */
import {
  peerId,
  type AssignMessage,
  type HeldStage,
  type NodeProfile,
  type PeerId,
  type ProveMessage,
} from '@shoal/protocol';
import { missingWeightBytes, type CodecTable, type LayerRange, type ModelProfile } from '@shoal/sharding';
import { createCluster, updateCluster } from '../cluster.ts';
import { costMs } from '../cluster-figures.ts';
import { placementOf } from '../cluster-placement.ts';
import type {
  ClusterEffect,
  ClusterEvent,
  ClusterState,
  ClusterTiming,
  PlacementPolicy,
  ServedModel,
} from '../cluster-state.ts';
import { answerPlan } from '../plan-ask.ts';

/** Eight layers alike: 10 ms and 100 bytes of weights each. */
export const PROFILE: ModelProfile = {
  name: 'm',
  layers: Array.from({ length: 8 }, () => ({ computeMs: 10, weightBytes: 100, workingBytes: 0 })),
  bytesAtCut: Array.from({ length: 9 }, () => 8),
  legal: Array.from({ length: 9 }, () => true),
};

const STEP_MS = 1000;
const PONG_ROWS = 10;

export const TIMING: ClusterTiming = { settleMs: 2000, driftMs: 10_000, cooldownMs: 30_000, lingerMs: 15_000 };

interface SceneNode {
  readonly id: PeerId;
  /** Layers of speed 1 cost their `computeMs`. */
  speed: number;
  readonly memoryBytes: number;
  /** What it found when it timed the probe graph; null where it did not. */
  readonly probeMs: number | null;
  readonly duties: Map<
    string,
    { readonly message: AssignMessage; readyAtMs: number; isReady: boolean; vectorsProven?: number }
  >;
  /** Layers of which it has the weights. */
  readonly fetched: LayerRange[];
}

export interface SceneOptions {
  readonly profile: ModelProfile;
  readonly policy?: PlacementPolicy;
  /** What codecs do to the model, and what its owner allows of that. */
  readonly codecs?: CodecTable;
  readonly errorBudget?: number;
  /** How long a node takes to fetch and prove a stage. */
  readonly loadMs?: number;
  /** Golden vectors of the model. */
  readonly goldenVectors?: number;
  /** How long the planner thinks. */
  readonly planMs?: number;
  /** Factor on what a node reports, around 1. */
  readonly noise?: () => number;
}

export const KEY = 'm/1';
const DIGEST = 'a'.repeat(64);

function heldStage(message: AssignMessage, vectorsProven: number | undefined): HeldStage {
  const { type: _, manifestPath: __, ...stage } = message;
  return { ...stage, msPerRow: 1, ...(vectorsProven === undefined ? {} : { vectorsProven }) };
}

export class ClusterScene {
  state: ClusterState;
  nowMs = 0;
  fetchedBytes = 0;
  /** Epochs in force, one after another. */
  readonly epochs: number[] = [];
  readonly nodes = new Map<PeerId, SceneNode>();
  /** Nodes that compute something else, and those that lose every proof. */
  readonly wrong = new Set<string>();
  readonly silent = new Set<string>();
  /** Nodes that compute right on the first golden vector alone. */
  readonly halfRight = new Set<string>();
  /** Routes that golden vectors were run over, in the order in which they were asked for. */
  readonly routes: string[] = [];
  readonly #options: SceneOptions;
  readonly #proofs: ProveMessage[] = [];
  readonly #answers: { readonly atMs: number; readonly event: Extract<ClusterEvent, { type: 'planned' }> }[] = [];
  #runs = 0;

  constructor(options: SceneOptions) {
    this.#options = options;
    this.state = this.#coordinator();
  }

  get model(): ServedModel {
    const { profile, policy = {}, codecs = null, errorBudget = 0 } = this.#options;
    const weightBytes = profile.layers.reduce((sum, layer) => sum + layer.weightBytes, 0);
    return {
      info: {
        model: 'm',
        version: 1,
        signatures: {},
        classNames: null,
        rowsIndependent: true,
        weightBytes,
        errorBudget,
      },
      manifestPath: '/models/m/1/manifest.json',
      manifestDigest: DIGEST,
      memoryBytes: weightBytes,
      layers: profile.layers.length,
      profile,
      goldenVectors: this.#options.goldenVectors ?? 0,
      codecs,
      placement: policy,
    };
  }

  get placement() {
    return placementOf(this.state, KEY);
  }

  get isServed(): boolean {
    return this.placement.code === undefined;
  }

  /** The model's first coordinator, or one that starts over and finds the nodes as they are. */
  restart(): void {
    this.#answers.length = 0;
    this.#proofs.length = 0;
    this.state = this.#coordinator();
    for (const node of this.nodes.values()) this.#enter(node);
  }

  join(name: string, speed: number, memoryBytes: number, probeMs: number | null = null): void {
    const id = peerId(name);
    const node: SceneNode = { id, speed, memoryBytes, probeMs, duties: new Map(), fetched: [] };
    this.nodes.set(id, node);
    this.#enter(node);
  }

  leave(name: string): void {
    const id = peerId(name);
    this.nodes.delete(id);
    this.feed({ type: 'left', nowMs: this.nowMs, peer: id, code: 'PEER_LEFT' });
  }

  node(name: string): SceneNode {
    const node = this.nodes.get(peerId(name));
    if (node === undefined) throw new Error(`no node ${name} in this scene`);
    return node;
  }

  /** Lets time pass; `each` looks after every step. */
  pass(ms: number, each: () => void = () => {}): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs = Math.min(endMs, this.nowMs + STEP_MS);
      this.#step();
      each();
    }
  }

  feed(event: ClusterEvent): void {
    this.#carryOut(updateCluster(this.state, event));
  }

  #coordinator(): ClusterState {
    const state = createCluster(`run${this.#runs++}`, TIMING);
    updateCluster(state, { type: 'model-added', nowMs: this.nowMs, model: this.model });
    return state;
  }

  #enter(node: SceneNode): void {
    const { nowMs } = this;
    const profile: NodeProfile = {
      name: node.id,
      platform: 't',
      backend: 'cpu',
      backends: node.probeMs === null ? [] : [{ backend: 'cpu', ok: true, runMs: node.probeMs }],
      memoryBytesMax: node.memoryBytes,
    };
    const holds = [...node.duties.values()]
      .filter(({ isReady }) => isReady)
      .map(({ message, vectorsProven }) => heldStage(message, vectorsProven));
    this.feed({ type: 'joined', nowMs, peer: node.id, role: 'node' });
    this.feed({ type: 'registered', nowMs, peer: node.id, profile, holds });
  }

  #step(): void {
    const { nowMs } = this;
    for (const proof of this.#proofs.splice(0)) this.#prove(proof);
    for (const answer of this.#answers.splice(0)) {
      if (answer.atMs > nowMs) this.#answers.push(answer);
      else this.feed({ ...answer.event, nowMs });
    }
    for (const peer of this.state.peers.keys()) {
      if (!this.nodes.has(peer)) this.feed({ type: 'pong', nowMs, peer });
    }
    for (const node of [...this.nodes.values()]) {
      const served = this.placement.stages;
      const work = [...node.duties.values()]
        .filter(
          ({ message, isReady }) => isReady && served[message.stage]?.replicas.some(({ node: id }) => id === node.id),
        )
        .slice(0, 1)
        .map(({ message }) => ({
          assignmentId: message.assignmentId,
          rows: PONG_ROWS,
          msPerRow: this.#msPerRow(node, message.layers),
        }));
      this.feed({ type: 'pong', nowMs, peer: node.id, activity: 'working', work });
      for (const duty of [...node.duties.values()]) {
        if (duty.isReady || duty.readyAtMs > nowMs) continue;
        duty.isReady = true;
        const { assignmentId, layers } = duty.message;
        const msPerRow = this.#msPerRow(node, layers);
        const status = { type: 'assignment', assignmentId, state: 'ready', msPerRow } as const;
        this.feed({ type: 'assignment', nowMs, peer: node.id, status });
      }
    }
    this.feed({ type: 'tick', nowMs });
    if (this.isServed && this.epochs.at(-1) !== this.placement.epoch) this.epochs.push(this.placement.epoch);
  }

  #msPerRow(node: SceneNode, layers: LayerRange): number {
    return (costMs(this.#options.profile, layers) / node.speed) * (this.#options.noise?.() ?? 1);
  }

  #carryOut(effects: readonly ClusterEffect[]): void {
    const { nowMs } = this;
    for (const effect of effects) {
      if (effect.type === 'plan') {
        const { ask } = effect;
        const atMs = nowMs + (this.#options.planMs ?? 0);
        const event = { type: 'planned', nowMs, askId: ask.id, answer: answerPlan(ask) } as const;
        this.#answers.push({ atMs, event });
      } else if (effect.type === 'send') {
        const node = this.nodes.get(effect.to);
        if (node === undefined) continue;
        if (effect.message.type === 'assign') this.#take(node, effect.message);
        if (effect.message.type === 'prove') {
          this.routes.push(effect.message.route.join(' '));
          this.#proofs.push(effect.message);
        }
        if (effect.message.type === 'proven') {
          const duty = node.duties.get(effect.message.assignmentId);
          if (duty !== undefined) duty.vectorsProven = effect.message.vectors;
        }
        if (effect.message.type === 'unassign') node.duties.delete(effect.message.assignmentId);
      }
    }
  }

  /** Proofs take until the next step; those who have left meanwhile, or are silent, say nothing. */
  #prove({ requestId, route, vectors }: ProveMessage): void {
    const [first] = route;
    if (first === undefined || !route.every((id) => this.nodes.has(id) && !this.silent.has(id))) return;
    const isWrong = route.some((id) => this.wrong.has(id) || (vectors > 1 && this.halfRight.has(id)));
    const failure = { code: 'SELF_TEST_FAILED', reason: 'golden vector 1 of 2: output "y" deviates' } as const;
    const message = {
      type: 'proved',
      requestId,
      passed: isWrong ? 0 : vectors,
      ...(isWrong ? failure : {}),
    } as const;
    this.feed({ type: 'proved', nowMs: this.nowMs, peer: first, message });
  }

  #take(node: SceneNode, message: AssignMessage): void {
    const { nowMs } = this;
    const { start, end } = message.layers;
    const same = [...node.duties.values()].filter(
      ({ message: { layers } }) => layers.start === start && layers.end === end,
    );
    const isReady = same.some((duty) => duty.isReady);
    // Of the same place by a coordinator that came back: it takes the old one's place.
    for (const { message: old } of same) if (old.epoch === message.epoch) node.duties.delete(old.assignmentId);
    const readyAtMs = nowMs + (this.#options.loadMs ?? 0);
    node.duties.set(message.assignmentId, { message, readyAtMs, isReady });
    let missing = missingWeightBytes(this.#options.profile, message.layers, undefined);
    for (const held of node.fetched)
      missing = Math.min(missing, missingWeightBytes(this.#options.profile, message.layers, held));
    this.fetchedBytes += missing;
    node.fetched.push(message.layers);
    if (!isReady) return;
    const status = { type: 'assignment', assignmentId: message.assignmentId, state: 'ready', msPerRow: 1 } as const;
    this.feed({ type: 'assignment', nowMs, peer: node.id, status });
  }
}
