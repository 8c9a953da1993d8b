/** Lays out the sample models as a model repository: `<targetDir>/<name>/<version>/model.json`, weights, `serving.json`. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nsfwModel, type NsfwModelName } from './nsfw-model.ts';
import { placeModel, sha256, type PreparedModel, type SampleModel } from './place-model.ts';
import { sentenceEncoder } from './sentence-encoder.ts';

const MODELS_DIR = fileURLToPath(new URL('../models', import.meta.url));

/**
 * Prepares `half_plus_two`, `digits`, `mobilenet_v2`, `sentence_encoder` and `my_model` in `targetDir`, which is made if need be.
 * Models that stand there whole are recognised by their digests and left alone. Rejects with the file system's error or,
 * where an installed package is not the one expected, with an error that names the file.
 */
export async function prepareSampleModels(
  targetDir: string,
  options: { log?: (line: string) => void } = {},
): Promise<PreparedModel[]> {
  const models = await Promise.all([
    committedModel('half_plus_two'),
    committedModel('digits'),
    nsfwSample('mobilenet_v2'),
    encoderSample(),
    committedModel('my_model'),
  ]);
  const prepared: PreparedModel[] = [];
  for (const model of models) prepared.push(await placeModel(model, targetDir, options.log));
  return prepared;
}

/** Prepares one of the models of the npm package nsfwjs in `targetDir`, as `prepareSampleModels` does. */
export async function extractNsfwModel(name: NsfwModelName, targetDir: string): Promise<PreparedModel> {
  return placeModel(await nsfwSample(name), targetDir);
}

/** A model whose version 1 is committed in this room. */
async function committedModel(name: string): Promise<SampleModel> {
  const versionDir = join(MODELS_DIR, name, '1');
  const files = await Promise.all(
    (await readdir(versionDir)).map(async (path) => {
      const contents = await readFile(join(versionDir, path));
      return { path, sha256: sha256(contents), read: () => Promise.resolve(contents) };
    }),
  );
  return { name, version: 1, files, serving: await readFile(join(MODELS_DIR, name, 'serving.json')) };
}

/** Prepares `sentence_encoder` alone in `targetDir`, as `prepareSampleModels` does. */
export async function extractSentenceEncoder(targetDir: string): Promise<PreparedModel> {
  return placeModel(await encoderSample(), targetDir);
}

async function encoderSample(): Promise<SampleModel> {
  return { ...sentenceEncoder(), serving: await readFile(join(MODELS_DIR, 'sentence_encoder', 'serving.json')) };
}

async function nsfwSample(name: NsfwModelName): Promise<SampleModel> {
  const model = nsfwModel(name);
  if (name !== 'mobilenet_v2') return model;
  return { ...model, serving: await readFile(join(MODELS_DIR, name, 'serving.json')) };
}
