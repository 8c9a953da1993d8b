import { MeshError, peerId, type PlacementMessage, type ReasonCode } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { CLIENT, compute, MeshScene, pictures, watch } from '../testing/mesh-scene.ts';

/** A mesh of one node that answers, its model, and what the client tells of itself. */
async function joined() {
  const scene = new MeshScene();
  const node = scene.node('n');
  const told: string[] = [];
  scene.client.on('state', (state) => told.push(state));
  scene.client.on('link', (peer, state, error) => told.push(`${peer} ${state} ${error?.code ?? ''}`.trim()));
  const model = await scene.client.model('m');
  const placements: PlacementMessage[] = [];
  const off = model.onPlacement((placement) => placements.push(placement));
  return { scene, node, model, told, placements, off };
}

const said = ({ coordinator }: MeshScene) =>
  coordinator.heard.filter(({ from }) => from === CLIENT).map(({ message }) => message);

describe('models', () => {
  test('a model is known by its facts and its placement', async () => {
    const { scene, model } = await joined();
    expect([scene.client.peerId, scene.client.name, scene.client.state]).toEqual([CLIENT, 'test mesh', 'open']);
    expect(model.info).toEqual(scene.info('m', 1));
    expect(model.placement).toEqual(scene.placement());
  });

  test('version and label are asked for as they were given', async () => {
    const { scene } = await joined();
    const asked: unknown[] = [];
    scene.traffic = { latest: 1, versions: [3, 1, 0], labels: { stable: 3 } };
    scene.coordinator.onWatch = (_, message) => {
      asked.push(message);
      return scene.reply('m', message.version ?? 3);
    };
    expect((await scene.client.model('m', { version: 0 })).info.version).toBe(0);
    expect((await scene.client.model('m', { label: 'stable' })).info.version).toBe(3);
    expect(asked).toEqual([
      { type: 'watch', model: 'm', version: 0 },
      { type: 'watch', model: 'm', label: 'stable' },
    ]);
  });

  test.each<ReasonCode>(['MODEL_NOT_FOUND', 'VERSION_NOT_FOUND', 'LABEL_NOT_FOUND', 'MODEL_INVALID'])(
    'a model that the coordinator refuses is its error: %s',
    async (code) => {
      const { scene } = await joined();
      scene.coordinator.onWatch = () => ({ ok: false, code, reason: 'no such thing' });
      await expect(scene.client.model('other')).rejects.toThrow(`${code}: no such thing`);
    },
  );

  test('a coordinator that does not answer is COORDINATOR_LOST after 20 s', async () => {
    const { scene } = await joined();
    scene.coordinator.onWatch = () => new Promise<never>(() => {});
    const asking = watch(scene.client.model('m'));
    await scene.pass(19_950);
    expect(asking).toEqual({});
    await scene.pass(50);
    expect(asking.error?.message).toBe('COORDINATOR_LOST: no answer about model m in 20000 ms');
  });

  test('versions of a model are served apart, each by its own placement', async () => {
    const { scene, model } = await joined();
    const other = scene.node('other');
    scene.traffic = { latest: 1, versions: [2, 1], labels: {} };
    scene.coordinator.onWatch = () => ({ ...scene.reply('m', 2), placement: scene.placement('m', 2, [other]) });
    const second = await scene.client.model('m', { version: 2 });
    await second.predict(pictures(1));
    await model.predict(pictures(1));
    expect(other.work.map(({ message }) => message.version)).toEqual([2]);
  });
});

describe('placements', () => {
  test('the next request goes where the latest placement says', async () => {
    const { scene, node, model, placements, off } = await joined();
    const other = scene.node('other');
    await scene.place([other]);
    await model.predict(pictures(1));
    expect([node.work.length, other.work.length]).toEqual([0, 1]);
    expect(placements).toEqual([scene.placement('m', 1, [other])]);
    expect(model.placement).toBe(placements[0]);
    off();
    await scene.place([node]);
    expect(placements).toHaveLength(1);
    expect(model.placement).toEqual(scene.placement('m', 1, [node]));
  });

  test('placements of other models are not told', async () => {
    const { scene, node, placements } = await joined();
    await scene.place([node], 'other');
    expect(placements).toEqual([]);
  });

  test('without a node the request is refused at once, with the coordinator’s reason', async () => {
    const { scene, node, model } = await joined();
    await scene.place([]);
    await expect(model.predict(pictures(1))).rejects.toMatchObject({
      code: 'NO_CAPACITY',
      reason: 'no node is ready',
      retryable: true,
    });
    await scene.place([node]);
    await expect(model.predict(pictures(1))).resolves.toEqual(compute({ x: pictures(1) })['y']);
  });

  test('a node that leaves the placement finishes what it has', async () => {
    const { scene, node, model } = await joined();
    const other = scene.node('other');
    node.onWork = () => {};
    const outcome = watch(model.predict(pictures(1)));
    await scene.settle();
    await scene.place([other]);
    expect(outcome).toEqual({});
    for (const work of node.work) void node.answer(work);
    await scene.settle();
    expect(outcome.value).toEqual(compute({ x: pictures(1) })['y']);
    expect(other.work).toEqual([]);
  });
});

describe('the line to the coordinator', () => {
  test('a ping is answered', async () => {
    const { scene } = await joined();
    scene.coordinator.tell(CLIENT, { type: 'ping', sequence: 41 });
    await scene.settle();
    expect(said(scene)).toEqual([{ type: 'pong', sequence: 41 }]);
  });

  test('while it is lost, requests go on over the links there are', async () => {
    const { scene, model, told } = await joined();
    await model.predict(pictures(1));
    scene.coordinator.lose(CLIENT);
    expect(scene.client.state).toBe('lost');
    await expect(model.predict(pictures(2))).resolves.toEqual(compute({ x: pictures(2) })['y']);
    expect(told).toEqual(['n open', 'lost']);
  });

  test('when it is back, every model is watched again, and what changed meanwhile is told', async () => {
    const { scene, node, model, placements, told } = await joined();
    await scene.client.model('second');
    const other = scene.node('other');
    scene.coordinator.lose(CLIENT);
    const asked: unknown[] = [];
    scene.coordinator.onWatch = (_, message) => {
      asked.push(message);
      return { ...scene.reply(message.model, 1), placement: scene.placement(message.model, 1, [other]) };
    };
    scene.coordinator.restore(CLIENT);
    await scene.settle();
    expect(asked).toEqual([
      { type: 'watch', model: 'm' },
      { type: 'watch', model: 'second' },
    ]);
    expect(placements).toEqual([scene.placement('m', 1, [other])]);
    await model.predict(pictures(1));
    expect([node.work.length, other.work.length]).toEqual([0, 1]);
    expect(told.slice(0, 2)).toEqual(['lost', 'open']);
  });

  test('a model that is withdrawn meanwhile is not served any more, with the reason', async () => {
    const { scene, model, placements } = await joined();
    scene.coordinator.lose(CLIENT);
    scene.coordinator.onWatch = () => ({ ok: false, code: 'MODEL_NOT_FOUND', reason: 'no model is named "m"' });
    scene.coordinator.restore(CLIENT);
    await scene.settle();
    await expect(model.predict(pictures(1))).rejects.toThrow('MODEL_NOT_FOUND: no model is named "m"');
    expect(placements.map(({ code, stages }) => [code, stages])).toEqual([['MODEL_NOT_FOUND', [{ replicas: [] }]]]);
    // It is registered again.
    scene.coordinator.tell(CLIENT, scene.placement());
    await scene.settle();
    await expect(model.predict(pictures(1))).resolves.toBeDefined();
  });

  test('a coordinator that cannot be asked has not said no: the placement stands', async () => {
    const { scene, model } = await joined();
    scene.coordinator.lose(CLIENT);
    scene.coordinator.onWatch = () => Promise.reject(new MeshError('COORDINATOR_LOST'));
    scene.coordinator.restore(CLIENT);
    await scene.settle();
    expect(model.placement).toEqual(scene.placement());
    await expect(model.predict(pictures(1))).resolves.toBeDefined();
  });
});

describe('links', () => {
  test('are told when they open and when they close, with the reason', async () => {
    const { scene, node, model, told } = await joined();
    await model.predict(pictures(1));
    node.leave();
    await scene.settle();
    expect(told).toEqual(['n open', 'n closed PEER_LEFT']);
  });

  test('end when the coordinator says that the peer has left', async () => {
    const { scene, node, model, told } = await joined();
    await model.predict(pictures(1));
    scene.coordinator.evict(node.id, 'PEER_UNRESPONSIVE');
    await scene.settle();
    expect(told).toEqual(['n open', 'n closed PEER_UNRESPONSIVE']);
    expect(model.placement.stages).toEqual([{ replicas: [] }]);
    scene.coordinator.evict(peerId('stranger'));
    await scene.settle();
    expect(told).toHaveLength(2);
  });
});

describe('closing', () => {
  test('ends everything with CLOSED, says goodbye on every line, and leaves no timer', async () => {
    const { scene, node, model, told } = await joined();
    const other = scene.node('other');
    await scene.place([node, other]);
    for (const each of [node, other]) each.onWork = () => {};
    const requests = Array.from({ length: 5 }, (_, i) => watch(model.predict(pictures(1, i))));
    requests.push(watch(model.predict(pictures(1), { requestId: 'named' })));
    const stream = watch(
      (async () => {
        for await (const output of model.predictStream([pictures(1)])) expect(output).toBeUndefined();
      })(),
    );
    scene.coordinator.onWatch = () => new Promise<never>(() => {});
    const asking = watch(scene.client.model('later'));
    await scene.settle();
    await scene.client.close();
    await scene.client.close();
    await scene.settle();
    for (const { error } of [...requests, stream, asking]) expect(error?.code).toBe('CLOSED');
    expect(said(scene)).toEqual([{ type: 'leaving', code: 'CLOSED' }]);
    expect(told.filter((line) => line === 'closed')).toHaveLength(1);
    expect(scene.client.state).toBe('closed');
    await scene.pass(10_000);
    expect(scene.clock.pending).toBe(0);
  });

  test('what is asked of a closed mesh is CLOSED at once', async () => {
    const { scene, node, model } = await joined();
    await scene.client.close();
    await expect(model.predict(pictures(1))).rejects.toMatchObject({ code: 'CLOSED', retryable: false });
    await expect(scene.client.model('m')).rejects.toThrow('CLOSED');
    const stream = model.predictStream([pictures(1)])[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toThrow('CLOSED');
    await scene.pass(1000);
    expect(node.work).toEqual([]);
    expect(scene.clock.pending).toBe(0);
  });
});
