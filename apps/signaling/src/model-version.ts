/** One version's folder, read and checked: its manifest, with the SHA-256 of every shard. */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError, type Signature } from '@shoal/protocol';
import {
  ModelError,
  readModel,
  SHARD_BYTES_MAX,
  weightFileExtents,
  type Manifest,
  type ModelDescription,
  type Shard,
} from '@shoal/sharding';
import type { ServingConfig } from './serving-config.ts';

/** A topology of this size has some 100,000 nodes; anything larger is refused before it is parsed. */
const TOPOLOGY_BYTES_MAX = 64 * 1024 * 1024;
const TOPOLOGY_FILE = 'model.json';

export interface ModelVersion {
  readonly manifest: Manifest;
  readonly manifestJson: Buffer;
  readonly manifestDigest: string;
  readonly folder: string;
  /** Names of the files that nodes may fetch. */
  readonly files: ReadonlySet<string>;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Reads a version's folder.
 * @throws MeshError MODEL_INVALID that says which file or field is wrong
 */
export async function readModelVersion(
  model: string,
  version: number,
  folder: string,
  config: ServingConfig,
): Promise<ModelVersion> {
  try {
    const topologyBytes = await readTopology(folder);
    const description = await describe(folder, topologyBytes);
    const sizes = new Map<string, number>();
    for (const path of description.weightFiles) sizes.set(path, await sizeOf(join(folder, path)));
    const extents = weightFileExtents(description.weightFiles, description.weightFileBytes, sizes);
    const weights: Shard[] = [];
    for (const { path, bytes } of extents) weights.push(...(await fileShards(folder, path, bytes)));
    const signatures = { ...(config.signatures ?? description.signatures) };
    const manifest: Manifest = {
      model,
      version,
      format: description.format,
      topology: cut(TOPOLOGY_FILE, topologyBytes),
      weights,
      weightBytes: description.weightBytes,
      memoryBytes: description.memoryBytes,
      signatures,
      rowsIndependent: config.rowsIndependent ?? areRowsIndependent(description, signatures),
      golden: config.golden ?? [],
      classNames: config.classNames ?? null,
    };
    const manifestJson = Buffer.from(JSON.stringify(manifest));
    return {
      manifest,
      manifestJson,
      manifestDigest: sha256(manifestJson),
      folder,
      files: new Set([TOPOLOGY_FILE, ...description.weightFiles]),
    };
  } catch (error) {
    if (error instanceof ModelError) throw new MeshError('MODEL_INVALID', error.message, { cause: error });
    throw MeshError.from(error, 'MODEL_INVALID');
  }
}

/** Version folders of a model: those whose name is an integer, as in TensorFlow Serving. */
export async function versionsIn(modelFolder: string): Promise<number[]> {
  const entries = await readdir(modelFolder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && /^\d{1,15}$/.test(entry.name))
    .map((entry) => Number(entry.name))
    .sort((a, b) => a - b);
}

async function readTopology(folder: string): Promise<Buffer> {
  const file = join(folder, TOPOLOGY_FILE);
  const bytes = await sizeOf(file);
  if (bytes > TOPOLOGY_BYTES_MAX) {
    throw new MeshError('MODEL_INVALID', `${TOPOLOGY_FILE} has ${bytes} bytes, limit ${TOPOLOGY_BYTES_MAX} bytes`);
  }
  return readFile(file);
}

async function describe(folder: string, topologyBytes: Buffer): Promise<ModelDescription> {
  let json: unknown;
  try {
    json = JSON.parse(topologyBytes.toString('utf8'));
  } catch (error) {
    throw new MeshError('MODEL_INVALID', `${TOPOLOGY_FILE} is not JSON`, { cause: error });
  }
  try {
    return readModel(json);
  } catch (error) {
    if (!(error instanceof ModelError) || error.code !== 'weight-bytes') throw error;
    // Weights of dtype string have no length of their own: their bytes are looked at.
    const files = weightFileNames(json);
    const bytes = Buffer.concat(await Promise.all(files.map((file) => readFile(join(folder, file)))));
    return readModel(json, { readWeightBytes: (offset, length) => bytes.subarray(offset, offset + length) });
  }
}

function weightFileNames(json: unknown): string[] {
  const groups = (json as { weightsManifest?: { paths?: unknown }[] }).weightsManifest ?? [];
  const paths = groups.flatMap((group) => (Array.isArray(group.paths) ? (group.paths as unknown[]) : []));
  return paths.filter((path): path is string => typeof path === 'string' && /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(path));
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw new MeshError('MODEL_INVALID', `file ${file.split('/').at(-1) ?? file} cannot be read`, { cause: error });
  }
}

function cut(path: string, bytes: Uint8Array): Shard[] {
  const shards: Shard[] = [];
  for (let offset = 0; offset < bytes.length; offset += SHARD_BYTES_MAX) {
    const piece = bytes.subarray(offset, offset + SHARD_BYTES_MAX);
    shards.push({ digest: sha256(piece), path, offset, bytes: piece.length });
  }
  return shards;
}

/** Digests of a file piece by piece: a model larger than memory is no matter. */
async function fileShards(folder: string, path: string, bytes: number): Promise<Shard[]> {
  const shards: Shard[] = [];
  const handle = await open(join(folder, path));
  try {
    for (let offset = 0; offset < bytes; offset += SHARD_BYTES_MAX) {
      const piece = Buffer.alloc(Math.min(SHARD_BYTES_MAX, bytes - offset));
      const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
      if (bytesRead !== piece.length)
        throw new MeshError('MODEL_INVALID', `${path} ends at ${offset + bytesRead} of ${bytes} bytes`);
      shards.push({ digest: sha256(piece), path, offset, bytes: piece.length });
    }
  } finally {
    await handle.close();
  }
  return shards;
}

/**
 * Keras models compute rows apart by convention. A GraphModel does so for all that its signature tells if its one
 * input and every output begin with the batch; with several inputs only its owner can know (`serving.json`).
 */
function areRowsIndependent(description: ModelDescription, signatures: Readonly<Record<string, Signature>>): boolean {
  if (description.format === 'layers-model') return true;
  return Object.values(signatures).every(({ inputs, outputs }) => {
    const specs = [...Object.values(inputs), ...Object.values(outputs)];
    return Object.keys(inputs).length === 1 && specs.every((spec) => spec.shape?.[0] === -1);
  });
}
