/** Who is asked to survey a model's layers, and what the answers change. */
import { assignmentId, peerId, type PeerId, type SurveyedMessage, type SurveyMessage } from '@shoal/protocol';
import type { ModelProfile } from '@shoal/sharding';
import { beforeEach, describe, expect, test } from 'vitest';
import { placementOf } from './cluster-placement.ts';
import type { ClusterEffect, ClusterState, PlacementPolicy } from './cluster-state.ts';
import { createCluster, updateCluster } from './cluster.ts';
import { answerPlan } from './plan-ask.ts';

const [ANN, BEN] = ['ann', 'ben'].map(peerId) as [PeerId, PeerId];
const DIGEST = '0'.repeat(64);

/** Four layers alike; only a run tells what crosses between them. */
const DYNAMIC: ModelProfile = {
  name: 'm',
  layers: Array.from({ length: 4 }, () => ({ computeMs: 1, weightBytes: 100, workingBytes: 0 })),
  bytesAtCut: [8, 0, 0, 0, 8],
  legal: [true, false, false, false, true],
  unknownCuts: [1, 2, 3],
};

let state: ClusterState;
let surveys: { readonly to: PeerId; readonly message: SurveyMessage }[];
let assigned: { readonly to: PeerId; readonly id: string }[];

function note(effects: readonly ClusterEffect[]): void {
  for (const effect of effects) {
    if (effect.type === 'plan') {
      const planned = { type: 'planned', nowMs: 1, askId: effect.ask.id, answer: answerPlan(effect.ask) } as const;
      note(updateCluster(state, planned));
    }
    if (effect.type !== 'send') continue;
    if (effect.message.type === 'survey') surveys.push({ to: effect.to, message: effect.message });
    if (effect.message.type === 'assign') assigned.push({ to: effect.to, id: effect.message.assignmentId });
  }
}

function serve(placement: PlacementPolicy, profile: ModelProfile = DYNAMIC): void {
  const info = { model: 'm', version: 1, signatures: {}, classNames: null, rowsIndependent: true, weightBytes: 400 };
  const manifestPath = '/models/m/1/manifest.json';
  const model = { info, manifestPath, manifestDigest: DIGEST, memoryBytes: 400, layers: 4, profile, placement };
  note(updateCluster(state, { type: 'model-added', nowMs: 0, model }));
}

function enter(peer: PeerId, memoryBytesMax: number): void {
  updateCluster(state, { type: 'joined', nowMs: 0, peer, role: 'node' });
  const backends = [{ backend: 'cpu' as const, ok: true, runMs: 2 }];
  const profile = { name: peer, platform: 't', backend: 'cpu' as const, backends, memoryBytesMax };
  note(updateCluster(state, { type: 'registered', nowMs: 0, peer, profile, holds: [] }));
}

type Found = Pick<SurveyedMessage, 'layerMs' | 'bytesAtCut' | 'code' | 'reason'>;

function answer(found: Found): void {
  const asked = surveys.shift();
  if (asked === undefined) throw new Error('nobody was asked');
  const { model, version, layers, manifestDigest } = asked.message;
  const message = { type: 'surveyed', model, version, layers, manifestDigest, ...found } as const;
  note(updateCluster(state, { type: 'surveyed', nowMs: 1, peer: asked.to, message }));
}

const ready = (): void => {
  for (const { to, id } of assigned.splice(0)) {
    const status = { type: 'assignment', assignmentId: assignmentId(id), state: 'ready', msPerRow: 4 } as const;
    note(updateCluster(state, { type: 'assignment', nowMs: 1, peer: to, status }));
  }
};

beforeEach(() => {
  state = createCluster('run');
  surveys = [];
  assigned = [];
});

describe('a model that is to be cut and whose cuts only a run can tell', () => {
  test('is surveyed by the node with most memory, then cut by what was found', () => {
    enter(ANN, 200);
    enter(BEN, 300);
    serve({ mode: 'pipeline', stages: 2 });
    expect(surveys.map(({ to, message }) => [to, message.layers])).toEqual([[BEN, { start: 0, end: 4 }]]);
    expect(assigned).toEqual([]);
    expect(placementOf(state, 'm/1')).toMatchObject({
      code: 'SELF_TESTING',
      reason: 'ben runs m/1 piece by piece, to see what crosses its cuts',
    });
    answer({ layerMs: [1, 1, 1, 9], bytesAtCut: [8, 64, 64, 16, 8] });
    expect(state.models.get('m/1')?.profile?.legal).toEqual([true, true, true, true, true]);
    expect(state.partitions.get('m/1')?.stages).toEqual([
      { start: 0, end: 3 },
      { start: 3, end: 4 },
    ]);
  });

  test('says why where nobody could survey it', () => {
    enter(ANN, 200);
    enter(BEN, 300);
    serve({ mode: 'pipeline', stages: 2 });
    const failed: Found = {
      layerMs: [],
      bytesAtCut: [],
      code: 'MEMORY_LIMIT',
      reason: 'layers [0, 1) take too much',
    } as const;
    answer(failed);
    expect(surveys.map(({ to }) => to)).toEqual([ANN]);
    answer(failed);
    expect(surveys).toEqual([]);
    expect(placementOf(state, 'm/1')).toMatchObject({
      code: 'MEMORY_LIMIT',
      reason: 'what crosses the cuts of m/1 is not known: layers [0, 1) take too much',
    });
  });

  test('goes to the next node where the one that was asked leaves', () => {
    enter(ANN, 200);
    enter(BEN, 300);
    serve({ mode: 'pipeline', stages: 2 });
    surveys = [];
    note(updateCluster(state, { type: 'left', nowMs: 1, peer: BEN, code: 'PEER_LEFT' }));
    expect(surveys.map(({ to }) => to)).toEqual([ANN]);
  });

  test('an answer whose lists do not fit is a failure, not a plan', () => {
    enter(ANN, 300);
    serve({ mode: 'pipeline', stages: 1 });
    serve({ mode: 'pipeline', stages: 2 });
    answer({ layerMs: [1], bytesAtCut: [8] });
    expect(placementOf(state, 'm/1')).toMatchObject({ code: 'BAD_FRAME' });
  });
});

describe('a model that is held', () => {
  test('is surveyed by its holder, once', () => {
    enter(ANN, 1000);
    serve({});
    expect(surveys).toEqual([]);
    ready();
    expect(surveys.map(({ to, message }) => [to, message.layers])).toEqual([[ANN, { start: 0, end: 4 }]]);
    answer({ layerMs: [2, 2, 2, 6], bytesAtCut: [8, 64, 64, 16, 8] });
    enter(BEN, 1000);
    ready();
    expect(surveys).toEqual([]);
    expect(state.models.get('m/1')?.profile?.layers.map(({ computeMs }) => Math.round(computeMs * 1000))).toEqual([
      667, 667, 667, 2000,
    ]);
  });
});
