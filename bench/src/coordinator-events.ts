/** How long the coordinator's event loop is held up by one event of a large mesh: the planner thinks in a thread of its own. */
import { peerId, type NodeProfile } from '@shoal/protocol';
import {
  answerPlan,
  createCluster,
  updateCluster,
  type ClusterEffect,
  type ClusterEvent,
  type ServedModel,
} from '@shoal/scheduling';
import type { Instance } from './placement-instances.ts';

export interface EventTimes {
  /** Of joins, of a stage that is ready, of what nodes measured, of leaves, and of the clock, each while the mesh is full. */
  readonly ms: readonly number[];
  /** What the planner took to answer the last question about the full mesh, as it does in its own thread. */
  readonly answerMs: number;
}

/** The instance's nodes join one after another and serve its model; then each kind of event is timed. */
export function eventTimes({ profile, nodes }: Instance): EventTimes {
  const state = createCluster('bench');
  const times: number[] = [];
  let answerMs = 0;
  let isFull = false;
  let nowMs = 0;
  const pending: Extract<ClusterEffect, { type: 'plan' }>[] = [];
  const feed = (event: ClusterEvent): void => {
    const startMs = performance.now();
    const effects = updateCluster(state, event);
    if (isFull) times.push(performance.now() - startMs);
    for (const effect of effects) {
      if (effect.type === 'plan') pending.push(effect);
      if (effect.type !== 'send' || effect.message.type !== 'assign') continue;
      const { assignmentId } = effect.message;
      const status = { type: 'assignment', assignmentId, state: 'ready', msPerRow: 5 } as const;
      feed({ type: 'assignment', nowMs, peer: effect.to, status });
    }
  };
  const think = (): void => {
    for (const { ask } of pending.splice(0)) {
      const startMs = performance.now();
      const answer = answerPlan(ask);
      answerMs = performance.now() - startMs;
      feed({ type: 'planned', nowMs, askId: ask.id, answer });
    }
  };
  const join = (id: string, memoryBytesMax: number): void => {
    const known: NodeProfile = { name: id, platform: 'bench', backend: 'cpu', backends: [], memoryBytesMax };
    feed({ type: 'joined', nowMs, peer: peerId(id), role: 'node' });
    feed({ type: 'registered', nowMs, peer: peerId(id), profile: known, holds: [] });
  };
  feed({ type: 'model-added', nowMs, model: modelOf(profile) });
  for (const { id, memoryBytes } of nodes) join(id, memoryBytes);
  think();
  isFull = true;
  for (let round = 0; round < 4; round++) {
    nowMs += 2000;
    for (const { id } of nodes) feed({ type: 'pong', nowMs, peer: peerId(id), activity: 'working', rowsDone: round });
    feed({ type: 'tick', nowMs });
    think();
    const last = nodes[round];
    if (last === undefined) continue;
    feed({ type: 'left', nowMs, peer: peerId(last.id), code: 'PEER_LEFT' });
    join(last.id, last.memoryBytes);
  }
  return { ms: times, answerMs };
}

function modelOf(profile: Instance['profile']): ServedModel {
  const weightBytes = profile.layers.reduce((sum, layer) => sum + layer.weightBytes, 0);
  return {
    info: { model: 'm', version: 1, signatures: {}, classNames: null, rowsIndependent: true, weightBytes },
    manifestPath: '/models/m/1/manifest.json',
    manifestDigest: '0'.repeat(64),
    memoryBytes: weightBytes,
    layers: profile.layers.length,
    profile,
    placement: {},
  };
}
