/**
 * The chain of layers that stages are cut from. Coordinator and nodes each derive it from the same model.json with
 * this code, so that no message carries it; a digest in the manifest tells a node whose code orders layers otherwise.
 */
import { DEFAULT_SIGNATURE, MeshError, type Signature } from '@shoal/protocol';
import { cutsOf, type Cut } from './graph/cuts.ts';
import { layerGraph, type LayerGraph } from './graph/layer-graph.ts';
import { readModel, type ModelDescription } from './graph/read-model.ts';

/** Raised with every change of `layerGraph` that orders or joins layers of some model otherwise. */
const CHAIN_FORMAT = 1;

export interface ModelChain {
  readonly model: ModelDescription;
  readonly graph: LayerGraph;
  /** One for each position from 0 to the number of layers. */
  readonly cuts: readonly Cut[];
}

/**
 * The chain of a model.json, read without its weights: a node has only some of them.
 * @throws ModelError as `readModel`, `layerGraph` and `cutsOf`
 */
export function modelChain(modelJson: unknown): ModelChain {
  const model = readModel(modelJson);
  const graph = layerGraph(model);
  return { model, graph, cuts: cutsOf(graph) };
}

/** What the chain's digest covers: which layers, in which order, with which weights and tensors. */
export function chainText({ graph }: ModelChain): string {
  const layers = graph.layers.map(({ members, weights, constants, inputs, outputs }) => [
    members,
    weights,
    constants,
    inputs,
    outputs,
  ]);
  return JSON.stringify([CHAIN_FORMAT, graph.format, layers]);
}

/** Whether stages can serve these signatures: all that they name is an input or output of the chain. */
export function chainServes({ graph }: ModelChain, signatures: Readonly<Record<string, Signature>>): boolean {
  const [inputs, outputs] = [new Set(graph.inputs), new Set(graph.outputs)];
  return Object.values(signatures).every(
    (signature) =>
      Object.values(signature.inputs).every(({ tensor }) => inputs.has(tensor)) &&
      Object.values(signature.outputs).every(({ tensor }) => outputs.has(tensor)) &&
      // Every stage runs all its layers: what they read must be given.
      Object.keys(signature.inputs).length >= inputs.size,
  );
}

/**
 * How a stage's tensors are called on the wire and by the executor. A stage's own model knows them by their canonical
 * names, which also cross the cuts; callers know inputs and outputs of the whole model by the names of a signature.
 */
export interface StageNames {
  /** The signature that the executor knows the stage by. */
  readonly signature: string;
  /** By executor's name: the tensor as it arrives. */
  readonly reads: ReadonlyMap<string, string>;
  /** By executor's name: the tensor as it leaves, several times where a signature gives it several names. */
  readonly makes: ReadonlyMap<string, readonly string[]>;
  /** By arriving name: tensors that leave as they came. */
  readonly passes: ReadonlyMap<string, readonly string[]>;
}

interface StageEndNames {
  readonly inputs: readonly { readonly tensor: string }[];
  readonly outputs: readonly { readonly tensor: string }[];
  readonly passThrough: readonly string[];
}

/** Names of a stage that is not the whole model; `isFirst` and `isLast` say which ends callers see. */
export function stageNames(
  stage: StageEndNames,
  signature: Signature,
  { isFirst, isLast }: { readonly isFirst: boolean; readonly isLast: boolean },
): StageNames {
  const given = new Map<string, string>();
  for (const [name, { tensor }] of Object.entries(signature.inputs)) if (!given.has(tensor)) given.set(tensor, name);
  const wanted = new Map<string, string[]>();
  for (const [name, { tensor }] of Object.entries(signature.outputs))
    wanted.set(tensor, [...(wanted.get(tensor) ?? []), name]);
  const arriving = (tensor: string): string => {
    if (!isFirst) return tensor;
    const name = given.get(tensor);
    if (name === undefined) throw new MeshError('EXECUTION_FAILED', `the signature has no input for "${tensor}"`);
    return name;
  };
  const leaving = (tensor: string): readonly string[] => (isLast ? (wanted.get(tensor) ?? []) : [tensor]);
  return {
    signature: DEFAULT_SIGNATURE,
    reads: new Map(stage.inputs.map(({ tensor }) => [tensor, arriving(tensor)])),
    makes: new Map(stage.outputs.map(({ tensor }) => [tensor, leaving(tensor)])),
    passes: new Map(stage.passThrough.map((tensor) => [arriving(tensor), leaving(tensor)])),
  };
}

/** Names of the whole model: the executor knows callers' signatures. */
export function wholeNames(name: string, signature: Signature): StageNames {
  return {
    signature: name,
    reads: new Map(Object.keys(signature.inputs).map((input) => [input, input])),
    makes: new Map(Object.keys(signature.outputs).map((output) => [output, [output]])),
    passes: new Map(),
  };
}
