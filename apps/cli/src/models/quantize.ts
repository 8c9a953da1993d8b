/** `shoal model quantize`: the same model with weights in fewer bytes, and what that loses, measured. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { quantizeModel } from '@shoal/sharding';
import { formatBytes, oneOf, UsageError } from '../flags.ts';
import { measureLoss, type Loss } from './measure-loss.ts';
import { readModelFiles, readModelFolder } from './model-folder.ts';

const STORAGES = ['uint8', 'uint16', 'float16'] as const;

export interface QuantizeFlags {
  readonly to: string;
  readonly dtype?: string;
  readonly perTensor?: boolean;
}

/** @throws UsageError, MeshError MODEL_INVALID, EXECUTION_FAILED */
export async function quantize(folder: string, flags: QuantizeFlags): Promise<void> {
  const dtype = oneOf('--dtype', flags.dtype, STORAGES) ?? 'uint8';
  const target = resolve(flags.to);
  if (target === resolve(folder)) throw new UsageError('--to is the model itself: give another folder');
  const name = basename(resolve(folder, '..')) || 'model';
  const { checked, servingFile } = await readModelFolder(folder, /^\w[\w.-]*$/.test(name) ? name : 'model', 1);
  const files = await readModelFiles(folder);
  const made = quantizeModel(files.description, files.weights, { dtype, perChannel: flags.perTensor !== true });
  if (made.quantized.length === 0) {
    throw new UsageError(`${folder} has no float32 weight of 1,024 elements or more: there is nothing to gain`);
  }
  const topology = new TextEncoder().encode(JSON.stringify(made.modelJson));
  const changed = { ...files, topology, weights: made.weights };
  const loss = await measureLoss(checked.manifest, files, changed);
  await mkdir(target, { recursive: true });
  await writeFile(join(target, 'model.json'), topology);
  await writeFile(join(target, made.weightFile), made.weights);
  if (servingFile !== undefined) await writeServing(servingFile, join(target, 'serving.json'), loss);
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const share = ((100 * made.weights.length) / files.weights.length).toFixed(0);
  print(`${made.quantized.length} of ${files.description.weights.length} weights as ${dtype}`);
  print(`${formatBytes(files.weights.length)} -> ${formatBytes(made.weights.length)} (${share} %)`);
  print(lossText(loss));
  print(`written to ${target}; register it with: shoal model add ${flags.to} --name <name>`);
}

/** All that the original's file says, with golden vectors that prove the new weights. */
async function writeServing(from: string, to: string, { golden }: Loss): Promise<void> {
  const config = JSON.parse(await readFile(from, 'utf8')) as Record<string, unknown>;
  const changed = golden.length === 0 ? config : { ...config, golden };
  await writeFile(to, `${JSON.stringify(changed, null, 2)}\n`);
}

function lossText({ inputs, isGolden, relativeL2Max, relativeL2Mean, topOneAgreement }: Loss): string {
  const on = isGolden ? `${inputs} golden vectors` : `${inputs} made-up inputs (serving.json has no golden vectors)`;
  const error = `relative L2 at the output ${relativeL2Mean.toExponential(1)}, worst ${relativeL2Max.toExponential(1)}`;
  const agreement = topOneAgreement === null ? '' : `, top-1 agreement ${(100 * topOneAgreement).toFixed(1)} %`;
  return `on ${on}: ${error}${agreement}`;
}
