/** Stages go to nodes whose backends have their operations. */
import { peerId, type AssignMessage, type PeerId } from '@shoal/protocol';
import type { ModelProfile } from '@shoal/sharding';
import { beforeEach, expect, test } from 'vitest';
import { placementOf } from './cluster-placement.ts';
import type { ClusterEffect, ClusterState } from './cluster-state.ts';
import { createCluster, updateCluster } from './cluster.ts';
import { answerPlan } from './plan-ask.ts';

const [ANN, BEN, CLEO] = ['ann', 'ben', 'cleo'].map(peerId) as [PeerId, PeerId, PeerId];

/** Four layers, of which the first has an operation that not every backend has. */
const PROFILE: ModelProfile = {
  name: 'm',
  layers: Array.from({ length: 4 }, (_, i) => ({
    computeMs: 1,
    weightBytes: 100,
    workingBytes: 0,
    ops: i === 0 ? ['FFT'] : ['MatMul'],
  })),
  bytesAtCut: [8, 8, 8, 8, 8],
  legal: [true, true, true, true, true],
};

let state: ClusterState;
let assigned: [PeerId, AssignMessage['layers']][];

function note(effects: readonly ClusterEffect[]): void {
  for (const effect of effects) {
    if (effect.type === 'plan') {
      const planned = { type: 'planned', nowMs: 0, askId: effect.ask.id, answer: answerPlan(effect.ask) } as const;
      note(updateCluster(state, planned));
    }
    if (effect.type === 'send' && effect.message.type === 'assign') assigned.push([effect.to, effect.message.layers]);
  }
}

function enter(peer: PeerId, lacksOps: string[]): void {
  updateCluster(state, { type: 'joined', nowMs: 0, peer, role: 'node' });
  const profile = { name: peer, platform: 't', backend: 'cpu' as const, backends: [], memoryBytesMax: 250, lacksOps };
  note(updateCluster(state, { type: 'registered', nowMs: 0, peer, profile, holds: [] }));
}

beforeEach(() => {
  state = createCluster('run');
  assigned = [];
  const info = { model: 'm', version: 1, signatures: {}, classNames: null, rowsIndependent: true, weightBytes: 400 };
  const model = { info, manifestPath: '/m', manifestDigest: '0'.repeat(64), memoryBytes: 400, layers: 4 };
  const placement = { mode: 'pipeline', stages: 2 } as const;
  note(updateCluster(state, { type: 'model-added', nowMs: 0, model: { ...model, profile: PROFILE, placement } }));
});

test('the layers with an operation that a node lacks go to the other one', () => {
  enter(ANN, ['FFT']);
  enter(BEN, []);
  expect(assigned).toContainEqual([BEN, { start: 0, end: 2 }]);
  expect(assigned).toContainEqual([ANN, { start: 2, end: 4 }]);
});

test('where nobody has it, the operation is named, and what would cure it', () => {
  enter(ANN, ['FFT']);
  enter(BEN, ['FFT']);
  expect(placementOf(state, 'm/1')).toMatchObject({
    code: 'NO_CAPACITY',
    reason: expect.stringMatching(/op FFT in layer 0 is supported by no node: 1 more node .* whose backend has FFT/),
  });
});

test('a spare node that lacks it does not take a stage over that has it', () => {
  enter(ANN, []);
  enter(BEN, []);
  const [first] = assigned.find(([, { start }]) => start === 0) ?? [];
  enter(CLEO, ['FFT']);
  note(updateCluster(state, { type: 'left', nowMs: 1, peer: first as PeerId, code: 'PEER_LEFT' }));
  expect(assigned.filter(([peer, { start }]) => peer === CLEO && start === 0)).toEqual([]);
});
