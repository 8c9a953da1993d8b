import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';
import { expectOk, expectStatus } from '../rpc.ts';
import type { Scene } from '../scene.ts';

const MODEL = 'versioned';
const RELOAD = 'ModelService/HandleReloadConfigRequest';

/** Version n answers x / 2 + n. */
async function addVersion({ modelsFolder }: Scene, version: number): Promise<void> {
  const folder = join(modelsFolder, MODEL, String(version));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'weights.bin'), new Uint8Array(Float32Array.of(0.5, version).buffer));
  await cp(join(modelsFolder, 'half_plus_two/1/model.json'), join(folder, 'model.json'));
}

const answerOf = async ({ post }: Scene, path: string): Promise<unknown> =>
  (expectJson(await post(`${path}:predict`, '{"instances": [0]}')) as { predictions: unknown[] }).predictions[0];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const viewOf = ({ coordinator }: Scene) => coordinator.versions.view(MODEL);
const statesOf = (scene: Scene): string =>
  viewOf(scene)
    .versions.map(({ version, state }) => `${version} ${state}`)
    .join(', ');

/** A configuration with every model of the scene, and this one as told. */
function configOf({ coordinator }: Scene, own: object | null) {
  const others = coordinator.versions.views().filter(({ model }) => model !== MODEL);
  const config = others.map(({ model, policy }) => ({
    name: model,
    base_path: `/models/${model}`,
    model_version_policy: policy === 'all' ? { all: {} } : { latest: {} },
  }));
  return { config: { model_config_list: { config: own === null ? config : [...config, { name: MODEL, ...own }] } } };
}

export const versions: Section = {
  title: 'Versions, labels and configuration',
  clauses: [
    {
      clause:
        'The latest version is served by default; a new one is loaded before the old one is unloaded, which stays listed as ended',
      check: async (scene) => {
        await addVersion(scene, 1);
        await scene.untilServed(MODEL, 1);
        expect(await answerOf(scene, MODEL)).toBe(1);
        await addVersion(scene, 2);
        while ((await answerOf(scene, MODEL)) !== 2) expect(viewOf(scene).latest).not.toBeNull();
        await until(() => statesOf(scene) === '2 AVAILABLE, 1 END');
        expectError(
          await scene.post(`${MODEL}/versions/1:predict`, '{"instances": [0]}'),
          404,
          /Specific\(versioned, 1\)/,
        );
      },
    },
    {
      clause: '`HandleReloadConfigRequest` takes a `model_version_policy`: `latest`, `all` or `specific`',
      differs: '`base_path` and `model_platform` are not followed: where models lie is the coordinator’s to know',
      check: async (scene) => {
        const reload = (own: object) => scene.grpc(RELOAD, configOf(scene, own));
        expect(expectOk(await reload({ model_version_policy: { all: {} } })).status).toMatchObject({ error_code: 0 });
        await until(() => statesOf(scene) === '2 AVAILABLE, 1 AVAILABLE');
        expectOk(await reload({ model_version_policy: { specific: { versions: [1] } } }));
        while ((await answerOf(scene, MODEL)) !== 1) expect(viewOf(scene).latest).not.toBeNull();
        expectOk(await reload({ model_version_policy: { latest: { num_versions: 2 } } }));
        await until(() => statesOf(scene) === '2 AVAILABLE, 1 AVAILABLE' && viewOf(scene).latest === 2);
      },
    },
    {
      clause:
        'A label may be given only to a version that is available, else FAILED_PRECONDITION; requests by label follow it',
      check: async (scene) => {
        const reload = (labels: object) =>
          scene.grpc(RELOAD, configOf(scene, { model_version_policy: { all: {} }, version_labels: labels }));
        expectOk(await reload({ stable: 1 }));
        expect(await answerOf(scene, `${MODEL}/labels/stable`)).toBe(1);
        expectOk(await reload({ stable: 2 }));
        while ((await answerOf(scene, `${MODEL}/labels/stable`)) !== 2) expect(viewOf(scene).latest).toBe(2);
        expectStatus(
          await reload({ stable: 9 }),
          'FAILED_PRECONDITION',
          `Request to assign label to version 9 of model ${MODEL}, which is not currently available for inference`,
        );
        expect(await answerOf(scene, `${MODEL}/labels/stable`)).toBe(2);
      },
    },
    {
      clause: 'A new configuration supersedes the old one: models that it does not name are unloaded',
      check: async (scene) => {
        expectOk(await scene.grpc(RELOAD, configOf(scene, null)));
        expectError(await scene.post(`${MODEL}:predict`, '{"instances": [0]}'), 404, /Latest\(versioned\)/);
        expect(await answerOf(scene, 'half_plus_two')).toBe(2);
        await scene.coordinator.versions.reload();
        await scene.untilServed(MODEL, 2);
      },
    },
    {
      clause:
        '`--allow_version_labels_for_unavailable_models` lets new labels name versions that are not available yet',
      notApplicable: 'a label of `serving.json` may name such a version: it moves there once the version is served',
    },
    {
      clause: 'Traffic is not split: clients pick a version or a label',
      differs:
        '`split` in `serving.json` shares requests that name neither between versions, by weight and sticky by a header or metadata',
      check: async (scene) => {
        const { versions: admin } = scene.coordinator;
        await admin.change(MODEL, {
          versionPolicy: 'all',
          split: { weights: { 1: 1, 2: 1 }, stickyHeader: 'x-user' },
        });
        await until(() => admin.view(MODEL).split?.parts.every(({ version }) => version !== null) === true);
        const ask = async (user: string): Promise<unknown> =>
          expectJson(await scene.post(`${MODEL}:predict`, '{"instances": [0]}', { 'x-user': user }));
        const users = Array.from({ length: 32 }, (_, i) => `user ${i}`);
        let answers: unknown[] = [];
        do answers = await Promise.all(users.map(ask));
        while (new Set(answers.map((answer) => JSON.stringify(answer))).size < 2);
        expect(await Promise.all(users.map(ask))).toEqual(answers);
      },
    },
  ],
};
