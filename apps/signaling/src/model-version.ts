/** One version's folder, read and checked: its manifest, with the SHA-256 of every shard. */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DATA_MESSAGE_BYTES_MAX, MeshError, parseWith, type Signature } from '@shoal/protocol';
import {
  chainServes,
  chainText,
  layerGraph,
  codecTableSchema,
  modelChain,
  ModelError,
  modelProfile,
  readModel,
  SHARD_BYTES_MAX,
  shardBounds,
  weightFileExtents,
  TFJS_OPS,
  type LayerGraph,
  type CodecTable,
  type Manifest,
  type ModelChain,
  type ModelDescription,
  type ModelProfile,
  type Shard,
} from '@shoal/sharding';
import type { PlacementPolicy } from '@shoal/scheduling';
import type { VersionDescription } from './serving-config.ts';

/** A topology of this size has some 100,000 nodes; anything larger is refused before it is parsed. */
const TOPOLOGY_BYTES_MAX = 64 * 1024 * 1024;
const TOPOLOGY_FILE = 'model.json';
const CODEC_TABLE_FILE = 'codecs.json';
/** A guess until nodes have measured: what wasm does on a laptop's core, within a small factor. */
const FLOPS_PER_MS_ASSUMED = 5e6;

export interface ModelVersion {
  readonly manifest: Manifest;
  readonly manifestJson: Buffer;
  readonly manifestDigest: string;
  readonly folder: string;
  /** Names of the files that nodes may fetch. */
  readonly files: ReadonlySet<string>;
  /** Figures for cutting it, null for a model that is served whole only. */
  readonly profile: ModelProfile | null;
  /** Why it is served whole only; null where it may be cut. */
  readonly unsliced: string | null;
  /** Operations, or layer classes, that a node must have to hold it whole. */
  readonly ops: readonly string[];
  readonly placement: PlacementPolicy;
  readonly errorBudget: number | undefined;
  /** What `shoal model calibrate` measured of this very chain; null without it. */
  readonly codecs: CodecTable | null;
  /** Why a table that is there is not used. */
  readonly codecsProblem: string | null;
  /** Of the gateway, as `serving.json` has it. */
  readonly batching: VersionDescription['batching'];
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
  config: VersionDescription,
): Promise<ModelVersion> {
  try {
    const topologyBytes = await readTopology(folder);
    const { description, graph, ...found } = await describe(folder, topologyBytes);
    const signatures = { ...(config.signatures ?? description.signatures) };
    const layers = graph?.layers ?? [];
    checkOps(description, layers);
    const figures = found.chain === null ? null : profileOf(model, found.chain);
    const unsliced =
      found.chain === null || figures === null || found.unsliced !== null
        ? found.unsliced
        : whyWhole(found.chain, figures, signatures);
    const [chain, profile] = unsliced === null ? [found.chain, figures] : [null, null];
    const sizes = new Map<string, number>();
    for (const path of description.weightFiles) sizes.set(path, await sizeOf(join(folder, path)));
    const extents = weightFileExtents(description.weightFiles, description.weightFileBytes, sizes);
    const weights: Shard[] = [];
    const bounds = chain === null ? [] : shardBounds(description.weights, chain.graph);
    for (const { path, offset, bytes } of extents) {
      const within = bounds.map((bound) => bound - offset).filter((bound) => bound > 0 && bound < bytes);
      weights.push(...(await fileShards(folder, path, [...within, bytes])));
    }
    const manifest: Manifest = {
      model,
      version,
      format: description.format,
      topology: cut(TOPOLOGY_FILE, topologyBytes),
      weights,
      layers: chain?.graph.layers.length ?? 1,
      chainDigest: chain === null ? null : sha256(Buffer.from(chainText(chain))),
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
      profile,
      unsliced,
      ops: [...new Set(layers.flatMap((layer) => layer.ops))],
      placement: config.placement ?? {},
      errorBudget: config.errorBudget,
      ...(await readCodecTable(folder, manifest.chainDigest)),
      batching: config.batching,
    };
  } catch (error) {
    if (error instanceof ModelError) throw new MeshError('MODEL_INVALID', error.message, { cause: error });
    throw MeshError.from(error, 'MODEL_INVALID');
  }
}

/** A table that is of no use leaves a model without error budgets, and in service. */
async function readCodecTable(
  folder: string,
  chainDigest: string | null,
): Promise<Pick<ModelVersion, 'codecs' | 'codecsProblem'>> {
  let text: string;
  try {
    text = await readFile(join(folder, CODEC_TABLE_FILE), 'utf8');
  } catch {
    return { codecs: null, codecsProblem: null };
  }
  const useless = (why: string) => ({
    codecs: null,
    codecsProblem: `${CODEC_TABLE_FILE} ${why}: run shoal model calibrate again`,
  });
  try {
    const codecs = parseWith(codecTableSchema, JSON.parse(text), CODEC_TABLE_FILE);
    return codecs.chainDigest === chainDigest
      ? { codecs, codecsProblem: null }
      : useless('was measured on another model');
  } catch (error) {
    return useless(`cannot be read (${MeshError.from(error).reason})`);
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

interface Described {
  readonly description: ModelDescription;
  /** Null where tfjs must be left to make sense of it. */
  readonly graph: LayerGraph | null;
  /** Null where nodes could not derive it, which `unsliced` then explains. */
  readonly chain: ModelChain | null;
  readonly unsliced: string | null;
}

async function describe(folder: string, topologyBytes: Buffer): Promise<Described> {
  let json: unknown;
  try {
    json = JSON.parse(topologyBytes.toString('utf8'));
  } catch (error) {
    throw new MeshError('MODEL_INVALID', `${TOPOLOGY_FILE} is not JSON`, { cause: error });
  }
  try {
    const chain = modelChain(json);
    return { description: chain.model, graph: chain.graph, chain, unsliced: chain.graph.unsliceable };
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    if (error.code !== 'weight-bytes') return asWhole(readModel(json), error.message);
    // Weights of dtype string have no length of their own: their bytes are looked at. Nodes could not do so.
    const files = weightFileNames(json);
    const bytes = Buffer.concat(await Promise.all(files.map((file) => readFile(join(folder, file)))));
    const readWeightBytes = (offset: number, length: number): Buffer => bytes.subarray(offset, offset + length);
    return asWhole(readModel(json, { readWeightBytes }), 'its string weights must be read to be understood');
  }
}

function asWhole(description: ModelDescription, unsliced: string): Described {
  try {
    return { description, graph: layerGraph(description), chain: null, unsliced };
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return { description, graph: null, chain: null, unsliced };
  }
}

/** What no backend has is found out before anybody downloads it. */
function checkOps({ format }: ModelDescription, layers: LayerGraph['layers']): void {
  if (format !== 'graph-model') return;
  for (const layer of layers) {
    const op = layer.ops.find((each) => !TFJS_OPS.has(each));
    if (op === undefined) continue;
    const cure = 'TensorFlow.js runs it on no backend: convert the model without it';
    throw new MeshError('MODEL_INVALID', `modelTopology: op ${op} in layer "${layer.name}": ${cure}`);
  }
}

/** Why a model with a chain is served whole all the same, or null. */
function whyWhole(
  chain: ModelChain,
  { legal, unknownCuts = [] }: ModelProfile,
  signatures: Readonly<Record<string, Signature>>,
): string | null {
  const { graph, cuts } = chain;
  if (!chainServes(chain, signatures)) return 'a signature names tensors that are no ends of its graph';
  if (legal.slice(1, -1).includes(true) || unknownCuts.length > 0) return null;
  const together = [...new Set(graph.layers.flatMap((layer) => layer.together ?? []))];
  if (graph.layers.length === 1) return together.length === 0 ? 'it has one layer' : together.join('; ');
  const forbidden = cuts.find((cut) => cut.forbidden !== null)?.forbidden;
  return forbidden ?? `one row of its activations is larger than ${DATA_MESSAGE_BYTES_MAX} bytes at every cut`;
}

/** What one row carries over a cut must fit one message. Working memory is that of one row: how many may travel together follows. */
function profileOf(name: string, { graph }: ModelChain): ModelProfile {
  const profile = modelProfile(graph, { name, rows: 1, flopsPerMs: FLOPS_PER_MS_ASSUMED });
  const last = profile.layers.length;
  const legal = profile.legal.map(
    (isLegal, cut) =>
      isLegal && (cut === 0 || cut === last || (profile.bytesAtCut[cut] ?? 0) <= DATA_MESSAGE_BYTES_MAX),
  );
  // The planner weighs layers by their cost: a model whose operations are not counted has layers alike.
  const isCounted = profile.layers.some((layer) => layer.computeMs > 0);
  const layers = profile.layers.map((layer) => ({
    ...layer,
    computeMs: isCounted ? layer.computeMs : 1,
  }));
  return { ...profile, layers, legal };
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

/** Digests of a file piece by piece, none across one of `ends`: a model larger than memory is no matter. */
async function fileShards(folder: string, path: string, ends: readonly number[]): Promise<Shard[]> {
  const shards: Shard[] = [];
  const handle = await open(join(folder, path));
  let offset = 0;
  try {
    for (const end of ends) {
      while (offset < end) {
        const piece = Buffer.alloc(Math.min(SHARD_BYTES_MAX, end - offset));
        const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
        if (bytesRead !== piece.length)
          throw new MeshError('MODEL_INVALID', `${path} ends at ${offset + bytesRead} of ${end} bytes`);
        shards.push({ digest: sha256(piece), path, offset, bytes: piece.length });
        offset += piece.length;
      }
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
