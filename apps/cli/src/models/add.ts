/** `shoal model add`: checks a model and lays it into the repository, where a running mesh picks it up. */
import { constants, copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { modelNameSchema } from '@shoal/protocol';
import { versionsIn } from '@shoal/signaling/models';
import { formatBytes, UsageError, wholeNumber } from '../flags.ts';
import { modelsFolder } from '../options.ts';
import { readModelFiles, readModelFolder, type ModelFolder } from './model-folder.ts';
import { proveModel } from './prove-model.ts';

export interface AddFlags {
  readonly name: string;
  readonly version?: string;
  readonly models?: string;
  readonly state?: string;
}

/** @throws UsageError, MeshError MODEL_INVALID, EXECUTION_FAILED, SELF_TEST_FAILED */
export async function addModel(folder: string, flags: AddFlags): Promise<void> {
  const { name } = flags;
  if (!modelNameSchema.safeParse(name).success) {
    throw new UsageError(
      `--name is "${name}", expected letters, digits, '_', '-' and '.', beginning with a letter or digit`,
    );
  }
  const home = join(modelsFolder(flags, process.env), name);
  const present = await versionsIn(home).catch((): number[] => []);
  const version = wholeNumber('--version', flags.version, (present.at(-1) ?? 0) + 1, 999_999_999_999_999);
  if (present.includes(version))
    throw new UsageError(`--version ${version} of ${name} is there already: choose another`);
  const model = await readModelFolder(folder, name, version);
  const { manifest } = model.checked;
  const { passed, total, msPerRow } = await proveModel(manifest, await readModelFiles(folder));
  await place(model, home, version);
  const proof =
    total === 0 ? 'ran once, no golden vectors to compare with' : `passed ${passed} of ${total} golden vectors`;
  const size = `${manifest.layers} layers, ${formatBytes(manifest.weightBytes)} of weights`;
  process.stdout.write(`${name} version ${version}: ${size}, ${proof}, ${msPerRow.toFixed(1)} ms a row here\n`);
  process.stdout.write(`registered in ${join(home, String(version))}\n`);
}

/** Files first, under a name that no version has; then all at once. */
async function place({ folder, servingFile, checked }: ModelFolder, home: string, version: number): Promise<void> {
  const incoming = join(home, `.incoming-${process.pid}`);
  await mkdir(incoming, { recursive: true });
  try {
    for (const file of checked.files) await copyFile(join(folder, file), join(incoming, file));
    if (servingFile !== undefined) await copyOnce(servingFile, join(home, 'serving.json'));
    await rename(incoming, join(home, String(version)));
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

/** What the operator has set for the model stays. */
async function copyOnce(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
