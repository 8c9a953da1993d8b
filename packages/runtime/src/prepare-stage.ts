/** What an assignment asks for, worked out from the manifest and the topology: which bytes, which model, which names. */
import { DEFAULT_SIGNATURE, MeshError, type AssignMessage, type Signature } from '@shoal/protocol';
import {
  chainText,
  modelChain,
  shardsOfRanges,
  signatureOf,
  sliceModel,
  stageNames,
  stageSignature,
  wholeNames,
  type Manifest,
  type ModelChain,
  type Shard,
  type StageModel,
  type StageNames,
} from '@shoal/sharding';
import { fetchShards, type FetchParts, type OnShard } from './fetch-model.ts';

export interface PreparedStage {
  /** The model.json to load, UTF-8. */
  readonly topology: Uint8Array<ArrayBuffer>;
  /** The weights that go with it, in order. */
  readonly shards: readonly Shard[];
  /** Bytes of the weights once loaded. */
  readonly memoryBytes: number;
  /** By which the executor knows the stage. */
  readonly signatures: Readonly<Record<string, Signature>>;
  readonly isWhole: boolean;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** How tensors are called on the wire for one of the model's signatures. @throws MeshError SIGNATURE_NOT_FOUND */
  readonly names: (signature: string) => StageNames;
}

/**
 * Fetches the topology and cuts the stage out of it; the whole model is taken as it is.
 * @throws MeshError VERSION_SKEW where this node orders the layers otherwise than the coordinator; MODEL_INVALID for
 * layers that are no stage; and as `fetchShards`
 */
export async function prepareStage(
  manifest: Manifest,
  { layers, stage, stages }: AssignMessage,
  parts: FetchParts,
  onShard: OnShard,
): Promise<PreparedStage> {
  const isFirst = stage === 0;
  const isLast = stage === stages - 1;
  if (layers.end > manifest.layers || isFirst !== (layers.start === 0) || isLast !== (layers.end === manifest.layers)) {
    const range = `layers [${layers.start}, ${layers.end}) of ${manifest.layers}`;
    throw new MeshError('MODEL_INVALID', `${range} are not stage ${stage + 1} of ${stages}`);
  }
  const topology = await fetchShards(manifest, manifest.topology, parts, onShard);
  const ends = { isWhole: isFirst && isLast, isFirst, isLast };
  if (ends.isWhole) {
    const { weights: shards, memoryBytes, signatures } = manifest;
    const names = (name: string): StageNames => wholeNames(name, signatureOf(manifest, name));
    return { topology, shards, memoryBytes, signatures, ...ends, names };
  }
  const cut = await cutStage(manifest, topology, layers, parts);
  return {
    topology: new TextEncoder().encode(JSON.stringify(cut.modelJson)),
    shards: shardsOfRanges(manifest.weights, cut.weightRanges),
    memoryBytes: cut.memoryBytes,
    signatures: { [DEFAULT_SIGNATURE]: stageSignature(cut) },
    ...ends,
    names: (name) => stageNames(cut, signatureOf(manifest, name), ends),
  };
}

async function cutStage(
  manifest: Manifest,
  topology: Uint8Array<ArrayBuffer>,
  layers: AssignMessage['layers'],
  parts: FetchParts,
): Promise<StageModel> {
  const { model, graph, cuts } = await chainOf(manifest, topology, parts);
  try {
    return sliceModel(model, graph, layers, cuts);
  } catch (error) {
    throw MeshError.from(error, 'MODEL_INVALID');
  }
}

/**
 * The chain of layers as the coordinator means it.
 * @throws MeshError VERSION_SKEW where this node orders the layers otherwise; MODEL_INVALID
 */
export async function chainOf(
  manifest: Manifest,
  topology: Uint8Array<ArrayBuffer>,
  { digest }: Pick<FetchParts, 'digest'>,
): Promise<ModelChain> {
  try {
    const chain = modelChain(JSON.parse(new TextDecoder().decode(topology)));
    if ((await digest(new TextEncoder().encode(chainText(chain)))) === manifest.chainDigest) return chain;
  } catch (error) {
    throw MeshError.from(error, 'MODEL_INVALID');
  }
  throw new MeshError('VERSION_SKEW', `this node's software orders the layers of ${manifest.model} otherwise`);
}
