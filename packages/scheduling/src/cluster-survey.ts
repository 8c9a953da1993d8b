/**
 * Which node is asked to run a model's layers piece by piece, and what becomes of its answer. Who holds a model or a stage is
 * asked for its layers' costs, which takes no download. A model that is to be cut but whose bytes at cuts only a run can
 * tell is surveyed before, by the node with the most memory: it needs no more of it at once than the largest layer.
 */
import type { PeerId, ReasonCode } from '@shoal/protocol';
import { withSurveys, type LayerRange, type LayerSurvey, type ModelProfile } from '@shoal/sharding';
import { noteCosts } from './cluster-figures.ts';
import { consider } from './cluster-outlook.ts';
import { lackedOf } from './cluster-rooms.ts';
import {
  modelKey,
  type ClusterEffect,
  type ClusterEvent,
  type ClusterState,
  type PeerRecord,
  type ServedModel,
} from './cluster-state.ts';
import { serves } from './stage-proof.ts';

/** Nodes that are asked for the same model without success before guesses have to do. */
const FAILURES_MAX = 2;
/** A node ends a survey by itself before; this one has lost it. */
const SURVEY_LOST_MS = 150_000;

export interface SurveyRecord {
  /** As the model's files alone tell. */
  readonly guessed: ModelProfile;
  readonly surveys: LayerSurvey[];
  asked: { readonly peer: PeerId; readonly layers: LayerRange; readonly atMs: number } | null;
  failures: { readonly peer: PeerId; readonly code: ReasonCode; readonly reason: string }[];
}

/** Asks for what is not known yet, at most one survey a node and a model at a time. */
export function askSurveys(state: ClusterState, nowMs: number, effects: ClusterEffect[]): void {
  const busy = new Set<PeerId>();
  for (const record of state.surveys.values()) {
    if (record.asked === null) continue;
    const { peer, atMs } = record.asked;
    if (state.peers.has(peer) && nowMs - atMs < SURVEY_LOST_MS) busy.add(peer);
    else record.asked = null;
  }
  for (const [key, model] of state.models) {
    const wish = model.profile === null ? undefined : wishOf(state, key, model, model.profile);
    if (wish === undefined || busy.has(wish.peer)) continue;
    busy.add(wish.peer);
    recordOf(state, key, wish.profile).asked = { peer: wish.peer, layers: wish.layers, atMs: nowMs };
    const { info, manifestPath, manifestDigest } = model;
    const { start, end } = wish.layers;
    effects.push({
      type: 'send',
      to: wish.peer,
      message: {
        type: 'survey',
        model: info.model,
        version: info.version,
        layers: { start, end },
        manifestPath,
        manifestDigest,
      },
    });
  }
}

/** Takes an answer in; false where nobody asked for it. */
export function onSurveyed(
  state: ClusterState,
  { peer, message, nowMs }: Extract<ClusterEvent, { type: 'surveyed' }>,
): boolean {
  const key = modelKey(message.model, message.version);
  const [model, record] = [state.models.get(key), state.surveys.get(key)];
  if (model === undefined || record?.asked?.peer !== peer || model.manifestDigest !== message.manifestDigest)
    return false;
  const { layers } = record.asked;
  record.asked = null;
  const { code, reason, layerMs, bytesAtCut } = message;
  if (code !== undefined) {
    record.failures.push({ peer, code, reason: reason ?? '' });
    return true;
  }
  try {
    const speed = probeMs(state.peers.get(peer));
    const found = { layers, layerCosts: layerMs.map((ms) => ms / speed), bytesAtCut };
    const profile = withSurveys(record.guessed, [...record.surveys, found]);
    record.surveys.push(found);
    state.models.set(key, { ...model, profile });
    noteCosts(state, key, profile);
    // New cuts are wanted at once; better figures can wait like any drift.
    const hasNewCuts = profile.unknownCuts?.length !== model.profile?.unknownCuts?.length;
    consider(state, key, nowMs, hasNewCuts ? 0 : state.timing.driftMs);
  } catch (error) {
    record.failures.push({ peer, code: 'BAD_FRAME', reason: error instanceof Error ? error.message : String(error) });
  }
  return true;
}

/** Why a model that only a run could tell how to cut is not cut now. */
export function surveyReason(state: ClusterState, key: string): { code: ReasonCode; reason: string } | undefined {
  const record = state.surveys.get(key);
  const unknown = state.models.get(key)?.profile?.unknownCuts?.length ?? 0;
  if (record === undefined || unknown === 0) return undefined;
  if (record.asked !== null) {
    const name = state.peers.get(record.asked.peer)?.profile?.name ?? record.asked.peer;
    return { code: 'SELF_TESTING', reason: `${name} runs ${key} piece by piece, to see what crosses its cuts` };
  }
  const failure = record.failures.at(-1);
  if (failure === undefined) return undefined;
  return { code: failure.code, reason: `what crosses the cuts of ${key} is not known: ${failure.reason}` };
}

interface Wish {
  readonly peer: PeerId;
  readonly layers: LayerRange;
  readonly profile: ModelProfile;
}

function wishOf(state: ClusterState, key: string, model: ServedModel, profile: ModelProfile): Wish | undefined {
  const record = state.surveys.get(key);
  if (record !== undefined && (record.asked !== null || record.failures.length >= FAILURES_MAX)) return undefined;
  const refused = new Set(record?.failures.map(({ peer }) => peer));
  const nodes = [...state.peers.values()].filter(
    (peer) => peer.profile !== null && peer.activity !== 'draining' && !refused.has(peer.id),
  );
  const isKnown = (range: LayerRange): boolean =>
    record?.surveys.some(({ layers }) => layers.start <= range.start && layers.end >= range.end) === true;
  let isComing = false;
  for (const peer of nodes) {
    for (const record of peer.assignments.values()) {
      const { layers } = record;
      if (record.modelKey !== key || record.state === 'failed') continue;
      isComing = true;
      // What is not proven yet is waited for.
      if (serves(model, record) && !isKnown(layers)) return { peer: peer.id, layers, profile };
    }
  }
  const able = nodes.filter((peer) => profile.layers.every(({ ops = [] }) => lackedOf(peer, ops).length === 0));
  const [largest] = able.toSorted((a, b) => memoryOf(b) - memoryOf(a));
  const whole = { start: 0, end: model.layers };
  if (isComing || largest === undefined || (profile.unknownCuts?.length ?? 0) === 0 || isKnown(whole)) return undefined;
  return { peer: largest.id, layers: whole, profile };
}

function recordOf(state: ClusterState, key: string, guessed: ModelProfile): SurveyRecord {
  let record = state.surveys.get(key);
  if (record === undefined) {
    record = { guessed, surveys: [], asked: null, failures: [] };
    state.surveys.set(key, record);
  }
  return record;
}

const memoryOf = ({ profile }: PeerRecord): number => profile?.memoryBytesMax ?? 0;

/** Times of different nodes are told in runs of the probe graph, which each of them timed at its start. */
function probeMs(peer: PeerRecord | undefined): number {
  const profile = peer?.profile;
  return Math.max(0.01, profile?.backends.find(({ backend }) => backend === profile.backend)?.runMs ?? 1);
}
