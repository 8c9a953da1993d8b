import { MeshError, peerId, type PlacementMessage } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { ClusterModel } from '../admin/cluster.ts';
import type { GetJson } from '../shared/api.ts';
import type { Mesh, MeshModel } from '../shared/sdk.ts';
import { AskSession } from './ask-session.ts';

const model = (name: string, change: Partial<ClusterModel> = {}): ClusterModel => ({
  model: name,
  version: 1,
  state: 'served',
  code: null,
  reason: null,
  replicas: 1,
  weightBytes: 8,
  signatures: { serving_default: { inputs: { x: { dtype: 'float32', shape: [-1], tensor: 'x' } }, outputs: {} } },
  classNames: null,
  ...change,
});

const placement = (name: string, epoch: number): PlacementMessage => ({
  type: 'placement',
  model: name,
  version: 1,
  epoch,
  stages: [{ replicas: [] }],
});

/** A mesh whose placements and answers the test makes. */
function rig(models: readonly ClusterModel[], refuse?: MeshError) {
  const listeners = new Map<string, (placement: PlacementMessage) => void>();
  const world = { models, changes: 0, listeners };
  const handleOf = (name: string): MeshModel =>
    ({
      placement: placement(name, 1),
      onPlacement: (listener: (placement: PlacementMessage) => void) => {
        listeners.set(name, listener);
        return () => listeners.delete(name);
      },
    }) as unknown as MeshModel;
  const mesh: Mesh = {
    peerId: peerId('me'),
    name: 'Reef',
    state: 'open',
    model: (name) =>
      name === 'broken' ? Promise.reject(new MeshError('MODEL_NOT_FOUND')) : Promise.resolve(handleOf(name)),
    on: () => () => undefined,
    figures: () => [],
    close: () => Promise.resolve(),
  };
  const getJson: GetJson = <Reply>() => Promise.resolve({ models: world.models } as Reply);
  const ports = { connect: () => (refuse === undefined ? Promise.resolve(mesh) : Promise.reject(refuse)), getJson };
  const session = new AskSession(ports, { token: 't' }, () => {
    world.changes += 1;
  });
  return { session, world };
}

describe('a session', () => {
  it('chooses the first model that can be asked and follows its placement', async () => {
    const { session, world } = rig([model('bad', { state: 'refused' }), model('a'), model('b')]);
    await session.connect();
    expect(session.chosen?.model).toBe('a');
    expect(session.form?.image).toBeNull();
    expect(session.models.map((each) => each.model)).toEqual(['a', 'b']);
    world.listeners.get('a')?.(placement('a', 2));
    expect(session.placement?.epoch).toBe(2);
  });

  it('keeps choice and form over a refresh, though the facts are new', async () => {
    const { session, world } = rig([model('a'), model('b')]);
    await session.connect();
    await session.choose('b@1');
    const { form } = session;
    world.models = [model('a'), model('b', { replicas: 5 })];
    await session.refresh();
    expect(session.chosen).toMatchObject({ model: 'b', replicas: 5 });
    expect(session.form).toBe(form);
    expect([...world.listeners.keys()]).toEqual(['b']);
  });

  it('goes on to another model when the chosen one is gone', async () => {
    const { session, world } = rig([model('a'), model('b')]);
    await session.connect();
    world.models = [model('b')];
    await session.refresh();
    expect(session.chosen?.model).toBe('b');
  });

  it('says why it was refused, and why a model cannot be asked', async () => {
    const refused = rig([], new MeshError('INVITE_EXPIRED')).session;
    await refused.connect();
    expect(refused.refusal?.code).toBe('INVITE_EXPIRED');
    const { session } = rig([model('broken')]);
    await session.connect();
    expect(session.problem?.code).toBe('MODEL_NOT_FOUND');
    expect(session.refusal).toBeNull();
  });
});
