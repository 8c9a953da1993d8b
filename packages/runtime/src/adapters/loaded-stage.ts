/** A stage as TensorFlow.js runs it: a graph model or a layers model, made of what was fetched. */
import * as tf from '@tensorflow/tfjs';
import type { Signature } from '@shoal/protocol';
import { expandWeights, type WeightEntry } from '@shoal/sharding';
import type { StageToLoad } from '../executor.ts';

export interface LoadedStage {
  readonly signatures: Readonly<Record<string, Signature>>;
  readonly execute: (signature: Signature, inputs: Readonly<Record<string, tf.Tensor>>) => Promise<tf.Tensor[]>;
  readonly dispose: () => void;
}

export async function loadStage(stage: StageToLoad): Promise<LoadedStage> {
  const artifacts = artifactsOf(stage);
  return stage.format === 'graph-model' ? loadGraph(artifacts, stage) : loadLayers(artifacts, stage);
}

/** The parts of a model.json that tfjs takes as artifacts. The file was checked by the coordinator and by its digest. */
function artifactsOf(stage: StageToLoad): tf.io.ModelArtifacts {
  const json = JSON.parse(new TextDecoder().decode(stage.topology)) as tf.io.ModelJSON;
  const stored = (json.weightsManifest ?? []).flatMap((group) => group.weights) as WeightEntry[];
  const { entries, bytes } = expandWeights(stored, stage.weights);
  const artifacts: tf.io.ModelArtifacts = {
    modelTopology: json.modelTopology,
    weightSpecs: entries as unknown as tf.io.WeightsManifestEntry[],
    weightData: bytes.buffer,
  };
  if (json.format !== undefined) artifacts.format = json.format;
  if (json.signature !== undefined) artifacts.signature = json.signature;
  if (json.userDefinedMetadata !== undefined) artifacts.userDefinedMetadata = json.userDefinedMetadata;
  if (json.modelInitializer !== undefined) artifacts.modelInitializer = json.modelInitializer;
  if (json.initializerSignature !== undefined) artifacts.initializerSignature = json.initializerSignature;
  return artifacts;
}

async function loadGraph(artifacts: tf.io.ModelArtifacts, stage: StageToLoad): Promise<LoadedStage> {
  const model = await tf.loadGraphModel(tf.io.fromMemory(artifacts));
  // Control flow and ops with dynamic output shapes run only asynchronously; tfjs says so at the first attempt.
  let isDynamic = false;
  return {
    signatures: stage.signatures,
    dispose: () => model.dispose(),
    execute: async (signature, inputs) => {
      const feeds = Object.fromEntries(
        Object.entries(signature.inputs).map(([name, spec]) => [spec.tensor, inputs[name] as tf.Tensor]),
      );
      const fetches = Object.values(signature.outputs).map((spec) => spec.tensor);
      if (!isDynamic) {
        try {
          return asArray(tf.tidy(() => model.execute(feeds, fetches)));
        } catch (error) {
          if (!(error instanceof Error) || !error.message.includes('executeAsync')) throw error;
          isDynamic = true;
        }
      }
      return asArray(await model.executeAsync(feeds, fetches));
    },
  };
}

async function loadLayers(artifacts: tf.io.ModelArtifacts, stage: StageToLoad): Promise<LoadedStage> {
  const model = await tf.loadLayersModel(tf.io.fromMemory(artifacts));
  if (hasFixedShapes(model)) for (const layer of model.layers) trustInputs(layer);
  return {
    signatures: stage.signatures,
    dispose: () => model.dispose(),
    execute: async (signature, inputs) => {
      const ordered = Object.keys(signature.inputs).map((name) => inputs[name] as tf.Tensor);
      const batchSize = Math.max(1, ordered[0]?.shape[0] ?? 1);
      return asArray(tf.tidy(() => model.predict(ordered, { batchSize })));
    },
  };
}

/** Rows aside, all shapes are known, and the model was built with them. */
const hasFixedShapes = ({ inputs }: tf.LayersModel): boolean =>
  inputs.every(({ shape }) => shape.slice(1).every((size) => size !== null));

/**
 * Every call of a layer compares its inputs with what the layer was built for. Where building the model has shown that, and
 * inputs are checked at the model's door, this finds nothing; and V8 compiles it again several times a second, as it never
 * settles on the shapes of its objects.
 */
function trustInputs(layer: tf.layers.Layer): void {
  Object.assign(layer, { assertInputCompatibility: () => {} });
}

const asArray = (tensors: tf.Tensor | tf.Tensor[]): tf.Tensor[] => (Array.isArray(tensors) ? tensors : [tensors]);
