/** What a client says to the nodes of a route that loses one: `resume` to those that are left, `release` when it is over. */
import { peerId, requestId, type ReleaseMessage, type ResumeMessage } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { compute, CLIENT, MeshScene, pictures, watch, type ScriptedNode } from '../testing/mesh-scene.ts';

/** Two stages, the second with two nodes; the nodes do nothing by themselves. */
async function stages() {
  const scene = new MeshScene();
  const [first, second, spare] = [scene.node('first'), scene.node('second'), scene.node('spare')];
  for (const node of [first, second, spare]) node.onWork = () => {};
  const model = await scene.client.model('m');
  const place = (...placed: (readonly ScriptedNode[])[]): Promise<void> => {
    const { stages: _, ...rest } = scene.placement();
    const replicas = (nodes: readonly ScriptedNode[]) => scene.placement('m', 1, nodes).stages[0]?.replicas ?? [];
    scene.coordinator.tell(CLIENT, {
      ...rest,
      epoch: 2,
      stages: placed.map((nodes) => ({ replicas: replicas(nodes) })),
    });
    return scene.settle();
  };
  await place([first], [second]);
  return { scene, first, second, spare, model, place };
}

const wordsOf = <Type extends 'resume' | 'release'>({ words }: ScriptedNode, type: Type) =>
  words.filter((word): word is Extract<ResumeMessage | ReleaseMessage, { type: Type }> => word.type === type);

test('[WK12] [WK13] the node before the lost one is asked to go on, and told when the result is there', async () => {
  const { scene, first, second, spare, model, place } = await stages();
  const outcome = watch(model.predictTraced(pictures(1)));
  await scene.settle();
  const work = first.work[0];
  if (work === undefined) throw new Error('no work came');
  second.crash();
  scene.coordinator.evict(second.id);
  await scene.settle();
  expect(wordsOf(first, 'resume')).toEqual([]);
  await place([first], [spare]);
  const [resume] = wordsOf(first, 'resume');
  expect(resume).toMatchObject({ microbatch: work.message.microbatch, attempt: 2, epoch: 2, replyTo: CLIENT, ask: [] });
  expect(resume?.route).toEqual([first.id, spare.id]);
  // The rows were sent once.
  expect(first.work).toHaveLength(1);
  const again = { ...work, link: await spare.reach(CLIENT), message: { ...work.message, attempt: 2 } };
  await spare.answer(again);
  await scene.settle();
  expect(outcome.value?.outputs['y']).toEqual(compute({ x: pictures(1) })['y']);
  expect(outcome.value?.microbatches[0]?.attempts).toBe(2);
  await scene.pass(200);
  const { requestId: id, microbatch } = work.message;
  expect(wordsOf(first, 'release')).toEqual([
    {
      type: 'release',
      replyTo: CLIENT,
      stage: 0,
      route: [first.id, spare.id],
      pieces: [{ requestId: requestId(id), microbatch }],
    },
  ]);
});

test('[WK12] where nobody has kept it the rows are sent again', async () => {
  const { scene, first, second, spare, model, place } = await stages();
  void watch(model.predict(pictures(1)));
  await scene.settle();
  second.crash();
  scene.coordinator.evict(second.id);
  await place([first], [spare]);
  const [resume] = wordsOf(first, 'resume');
  if (resume === undefined) throw new Error('nobody was asked');
  const { requestId: id, microbatch, attempt, epoch } = resume;
  const link = await first.reach(CLIENT);
  const about = { requestId: id, microbatch, attempt, epoch, stage: 0, node: first.id };
  await link.send({ type: 'failure', ...about, code: 'NOT_KEPT', reason: 'gone' });
  await scene.settle();
  expect(first.work.map(({ message }) => [message.microbatch, message.attempt])).toEqual([
    [microbatch, 1],
    [microbatch + 1, 2],
  ]);
  expect(first.work[1]?.message.route).toEqual([first.id, spare.id]);
});

test('[WK12] those that cannot be asked are passed over, and when nobody can the rows are sent again', async () => {
  const { scene, first, second, spare, model, place } = await stages();
  void watch(model.predict(pictures(1)));
  await scene.settle();
  first.crash();
  scene.coordinator.evict(first.id);
  second.crash();
  await place([spare], [second]);
  expect(spare.work).toHaveLength(1);
  expect(spare.work[0]?.message.route).toEqual([peerId('spare'), second.id]);
});
