/** A connection that answers by itself: made-up scores and traces, to look at the playground with. Not shipped. */
import { MeshError, peerId, requestId, type PlacementMessage, type TensorData } from '@shoal/protocol';
import type { ConnectOptions, Mesh, MeshModel, ModelInput, Prediction } from '../shared/sdk.ts';
import { FAKE_MODELS } from './fake-api.ts';

const NODES = ['embedded 1', 'kitchen tablet', 'Ada’s laptop'] as const;
const MS_PER_ROW = [105, 130, 88] as const;

function placementOf(model: string, served: boolean): PlacementMessage {
  const replicas = NODES.map((name, index) => ({
    node: peerId(`n${index}`),
    name,
    backend: index === 2 ? ('webgpu' as const) : ('wasm' as const),
    msPerRow: MS_PER_ROW[index] ?? 100,
  }));
  return {
    type: 'placement',
    model,
    version: 1,
    epoch: 1,
    stages: [{ replicas: served ? replicas : [] }],
    ...(served ? {} : { code: 'NO_CAPACITY' as const, reason: 'No node is ready to serve this model.' }),
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const isTensor = (input: ModelInput<TensorData>): input is TensorData => 'dtype' in input && 'shape' in input;

function answer(model: string, input: ModelInput<TensorData>, turn: number): Prediction<TensorData> {
  const tensor = isTensor(input) ? input : Object.values(input)[0];
  const rows = tensor?.shape[0] ?? 1;
  const classes = FAKE_MODELS.find((each) => each.model === model)?.signatures['serving_default']?.outputs['y']
    ?.shape?.[1];
  const output: TensorData =
    classes === undefined
      ? {
          dtype: 'float32',
          shape: [rows],
          data: Float32Array.from((tensor?.data ?? []) as Float32Array, (x) => x / 2 + 2),
        }
      : {
          dtype: 'float32',
          shape: [rows, classes],
          data: Float32Array.from(
            { length: rows * classes },
            (_, i) => [0.031, 0.044, 0.871, 0.036, 0.018][i % classes] ?? 0,
          ),
        };
  const of = (index: number, from: number, to: number, queueMs: number) => ({
    rows: [from, to] as const,
    carriedRows: to - from,
    attempts: index === 2 ? 2 : 1,
    totalMs: queueMs + (MS_PER_ROW[index] ?? 0) + 9,
    inputs: null,
    stages: [
      {
        stage: 0,
        node: peerId(`n${index}`),
        nodeName: NODES[index] ?? '',
        backend: 'wasm' as const,
        rows: to - from,
        queueMs,
        computeMs: MS_PER_ROW[index] ?? 0,
      },
    ],
  });
  return {
    requestId: requestId('fake'),
    outputs: { y: output },
    totalMs: 152.4,
    microbatches: rows > 1 ? [of(0, 0, 1, 4), of(1, 1, 2, 12), of(2, 2, rows, 30)] : [of(turn % 3, 0, 1, 14)],
  };
}

export function fakeConnect(served: boolean): (options: ConnectOptions) => Promise<Mesh> {
  return async () => ({
    peerId: peerId('me'),
    name: 'Reef',
    state: 'open',
    async model(name): Promise<MeshModel> {
      const facts = FAKE_MODELS.find((model) => model.model === name);
      if (facts === undefined) throw new MeshError('MODEL_NOT_FOUND');
      const traced = async (input: ModelInput<TensorData>, turn: number): Promise<Prediction<TensorData>> => {
        await pause(60);
        if (!served) throw new MeshError('NO_CAPACITY', `no node serves ${name} version 1`);
        return answer(name, input, turn);
      };
      const { version } = facts;
      const fake: MeshModel = {
        traffic: { type: 'traffic', model: name, latest: version, versions: [version], labels: {} },
        fixed: () => fake,
        info: { ...facts, classNames: facts.classNames === null ? null : [...facts.classNames], rowsIndependent: true },
        placement: placementOf(name, served),
        plan: null,
        predict: () => Promise.reject(new MeshError('INTERNAL', 'the fake traces every call')),
        predictTraced: ((input: ModelInput<TensorData>) => traced(input, 0)) as unknown as MeshModel['predictTraced'],
        predictStream: () => {
          throw new MeshError('INTERNAL', 'the fake traces every call');
        },
        predictStreamTraced: async function* (inputs: Iterable<ModelInput<TensorData>>) {
          let turn = 0;
          for (const input of inputs) yield await traced(input, turn++ * 2 + (turn % 5 === 0 ? 1 : 0));
        } as unknown as MeshModel['predictStreamTraced'],
        onPlacement: () => () => undefined,
      };
      return fake;
    },
    on: () => () => undefined,
    figures: () => [],
    close: async () => undefined,
  });
}
