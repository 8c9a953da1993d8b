/** `shoal model list`: what lies in the repository, and what is wrong with what cannot be served. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError, modelNameSchema, type Signature } from '@shoal/protocol';
import { versionsIn } from '@shoal/signaling/models';
import { formatBytes, UsageError } from '../flags.ts';
import { modelsFolder } from '../options.ts';
import { readModelFolder } from './model-folder.ts';

export interface ListFlags {
  readonly models?: string;
  readonly state?: string;
}

/** @throws UsageError if there is no such folder */
export async function listModels(flags: ListFlags): Promise<void> {
  const folder = modelsFolder(flags, process.env);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw new UsageError(`${folder} cannot be read: give --models, or run shoal serve once for the sample models`, {
      cause: error,
    });
  });
  const names = entries.filter((entry) => entry.isDirectory() && modelNameSchema.safeParse(entry.name).success);
  for (const { name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const version of await versionsIn(join(folder, name))) {
      process.stdout.write(
        `${name} ${version}  ${await describe(join(folder, name, String(version)), name, version)}\n`,
      );
    }
  }
}

async function describe(folder: string, name: string, version: number): Promise<string> {
  try {
    const { format, layers, weightBytes, signatures, chainDigest } = (await readModelFolder(folder, name, version))
      .checked.manifest;
    const cuts = chainDigest === null ? 'served whole only' : `${layers} layers`;
    const [signature] = Object.values(signatures);
    return [format, cuts, formatBytes(weightBytes), signature === undefined ? '' : signatureText(signature)].join(', ');
  } catch (error) {
    return `cannot be served: ${MeshError.from(error).reason}`;
  }
}

function signatureText({ inputs, outputs }: Signature): string {
  const side = (specs: Signature['inputs']): string =>
    Object.entries(specs)
      .map(
        ([name, { dtype, shape }]) =>
          `${name} ${dtype}[${shape === null ? '…' : shape.map((size) => (size < 0 ? '?' : size)).join(',')}]`,
      )
      .join(', ');
  return `${side(inputs)} -> ${side(outputs)}`;
}
