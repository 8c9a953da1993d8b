import { describe, expect, test } from 'vitest';
import { CLIENT, MeshScene, pictures, watch } from '../testing/mesh-scene.ts';

/** A mesh of one node that serves every version, and a model that follows the latest. */
async function followed(label?: string) {
  const scene = new MeshScene();
  scene.traffic = { latest: 1, versions: [1], labels: { stable: 1 } };
  const node = scene.node('n');
  const model = await scene.client.model('m', label === undefined ? {} : { label });
  const versions = (): number[] => node.work.map(({ message }) => message.version);
  const unwatched = () =>
    scene.coordinator.heard.flatMap(({ message }) => (message.type === 'unwatch' ? [message.version] : []));
  return { scene, node, model, versions, unwatched };
}

describe('a model without a version', () => {
  test('goes to the new latest once its placement is there, and gives the old one back', async () => {
    const { scene, model, versions, unwatched } = await followed();
    await model.predict(pictures(1));
    await scene.direct({ latest: 2, versions: [2] });
    await model.predict(pictures(1));
    expect(versions()).toEqual([1, 2]);
    expect(model.info.version).toBe(2);
    expect(unwatched()).toEqual([1]);
  });

  test('stays where it is until the placement is there, however long that takes', async () => {
    const { scene, model, versions, unwatched } = await followed();
    let answer = (): void => {};
    scene.coordinator.onWatch = (_, message) =>
      new Promise((resolve) => {
        answer = () => resolve(scene.reply('m', message.version ?? 1));
      });
    await scene.direct({ latest: 2, versions: [2] });
    await model.predict(pictures(1));
    expect([versions(), unwatched()]).toEqual([[1], []]);
    answer();
    await scene.settle();
    await model.predict(pictures(1));
    expect([versions(), unwatched()]).toEqual([[1, 2], [1]]);
  });

  test('ends a request where it began, and keeps that version until then', async () => {
    const { scene, node, model, versions, unwatched } = await followed();
    node.onWork = () => {};
    const slow = watch(model.predict(pictures(1)));
    await scene.settle();
    await scene.direct({ latest: 2, versions: [2] });
    expect([slow, unwatched()]).toEqual([{}, []]);
    for (const work of node.work) void node.answer(work);
    await scene.settle();
    expect(slow.error).toBeUndefined();
    expect([versions(), unwatched()]).toEqual([[1], [1]]);
  });

  test('starts a request again that its version was withdrawn under', async () => {
    const { scene, node, model, versions } = await followed();
    const fixed = model.fixed();
    await scene.direct({ latest: 2, versions: [2, 1] });
    const reason = { code: 'VERSION_NOT_FOUND', reason: 'm/1 was withdrawn', stages: [{ replicas: [] }] } as const;
    scene.coordinator.tell(CLIENT, { ...scene.placement('m', 1), ...reason, stages: [{ replicas: [] }] });
    await scene.settle();
    await fixed.predict(pictures(1));
    expect(versions()).toEqual([2]);
    expect(node.work).toHaveLength(1);
  });

  test('fixed, it stays with its version while that is known, and goes on with the next one after', async () => {
    const { scene, model, versions } = await followed();
    const fixed = model.fixed();
    await scene.direct({ latest: 2, versions: [2, 1] });
    await fixed.predict(pictures(1));
    await model.predict(pictures(1));
    expect(versions()).toEqual([1, 2]);
    await scene.direct({ versions: [2] });
    await fixed.predict(pictures(1));
    expect(versions()).toEqual([1, 2, 2]);
  });

  test('stays when nothing is the latest', async () => {
    const { scene, model, versions } = await followed();
    await scene.direct({ latest: null });
    await model.predict(pictures(1));
    expect(versions()).toEqual([1]);
  });

  test('moves at once when the line is back and the mesh has moved on meanwhile', async () => {
    const { scene, model, versions } = await followed();
    scene.coordinator.lose(CLIENT);
    scene.traffic = { latest: 2, versions: [2], labels: {} };
    scene.coordinator.restore(CLIENT);
    await scene.settle();
    await model.predict(pictures(1));
    expect(versions()).toEqual([2]);
  });

  test('a version that a caller named is not given back', async () => {
    const { scene, unwatched } = await followed();
    const named = await scene.client.model('m', { version: 1 });
    await scene.direct({ latest: 2, versions: [2] });
    expect(unwatched()).toEqual([]);
    expect(named.info.version).toBe(1);
    expect(named.fixed().info.version).toBe(1);
  });
});

describe('a model by its label', () => {
  test('follows the label alone', async () => {
    const { scene, model, versions } = await followed('stable');
    await scene.direct({ latest: 2, versions: [2, 1] });
    await model.predict(pictures(1));
    await scene.direct({ labels: { stable: 2 } });
    await model.predict(pictures(1));
    expect(versions()).toEqual([1, 2]);
    expect(model.traffic).toMatchObject({ latest: 2, labels: { stable: 2 } });
  });

  test('is refused while the label stands for nothing, and back with it', async () => {
    const { scene, model, versions } = await followed('stable');
    await scene.direct({ labels: {} });
    await expect(model.predict(pictures(1))).rejects.toMatchObject({ code: 'LABEL_NOT_FOUND' });
    await scene.direct({ labels: { stable: 1 } });
    await model.predict(pictures(1));
    expect(versions()).toEqual([1]);
  });

  test('tells placements of the version it stands for', async () => {
    const { scene, node, model } = await followed('stable');
    const told: number[] = [];
    model.onPlacement(({ version }) => told.push(version));
    await scene.direct({ labels: { stable: 2 }, versions: [2, 1] });
    scene.coordinator.tell(CLIENT, scene.placement('m', 1, [node]));
    scene.coordinator.tell(CLIENT, scene.placement('m', 2, [node]));
    await scene.settle();
    expect(told).toEqual([2, 2]);
  });
});
