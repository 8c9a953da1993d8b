/** Spoiled messages over real gRPC: each is answered in time, and what is the caller's fault is never called ours. */
import { status } from '@grpc/grpc-js';
import { seededRandom } from '@shoal/base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type Gateway } from '../compose.ts';
import { encodeMessage, GrpcClient, type Message } from '../testing/grpc-client.ts';
import { mutateMessage } from '../testing/mutate-message.ts';
import { toyMesh } from '../testing/toy-mesh.ts';

const MESSAGES = process.env['SHOAL_LONG'] === '1' ? 100_000 : 10_000;
const AT_ONCE = 32;
const SEED = 8500;
/** Client, server and runner are one process, and none of them collects before it must. */
const GROWTH_BYTES_MAX = 600e6;

const FLOAT = 1;
const sized = (...sizes: number[]): Message => ({ dim: sizes.map((size) => ({ size })) });
const spec = (name: string, more: Message = {}): Message => ({ name, ...more });
const floats = (...value: number[]): Message => ({ float_list: { value } });
const examples = (...features: Record<string, Message>[]): Message[] =>
  features.map((feature) => ({ features: { feature } }));

const good = (method: string, type: string, message: Message): readonly [method: string, bytes: Buffer] => [
  method,
  encodeMessage(`tensorflow.serving.${type}`, message),
];
const predict = (model_spec: Message, inputs: Record<string, Message>, more: Message = {}) =>
  good('PredictionService/Predict', 'PredictRequest', { model_spec, inputs, ...more });

/** What each method takes as it is. */
const GOOD: readonly (readonly [method: string, bytes: Buffer])[] = [
  predict(spec('half_plus_two'), { x: { dtype: FLOAT, tensor_shape: sized(3), float_val: [1, 2, 5] } }),
  predict(spec('half_plus_two', { version: { value: 1 }, signature_name: 'any' }), {
    x: { dtype: FLOAT, tensor_shape: sized(2, 2), tensor_content: Buffer.alloc(16, 64) },
  }),
  predict(
    spec('sum_and_product', { signature_name: 'serving_default' }),
    {
      a: { dtype: 2, tensor_shape: sized(1, 2), double_val: [1, 2] },
      b: { dtype: 19, tensor_shape: sized(1, 2), half_val: [15_360] },
    },
    { output_filter: ['sum'] },
  ),
  predict(spec('upper'), {
    text: { dtype: 7, tensor_shape: sized(2), string_val: [Buffer.from('é'), Buffer.from('b')] },
  }),
  predict(spec('double'), { n: { dtype: 9, tensor_shape: sized(1, 2), int64_val: [1, -2] } }),
  predict(spec('not'), { b: { dtype: 10, tensor_shape: sized(3), bool_val: [true, false, true] } }),
  good('PredictionService/Regress', 'ExamplesRequest', {
    model_spec: spec('half_plus_two', { version_label: 'stable' }),
    input: { example_list: { examples: examples({ x: floats(1) }, { x: floats(2) }) } },
  }),
  good('PredictionService/Classify', 'ExamplesRequest', {
    model_spec: spec('flowers'),
    input: {
      example_list_with_context: {
        examples: examples({ length: floats(2, 3) }, { length: floats(4, 5) }),
        context: { features: { feature: { width: { int64_list: { value: [1] } } } } },
      },
    },
  }),
  good('PredictionService/MultiInference', 'MultiInferenceRequest', {
    tasks: [{ model_spec: spec('half_plus_two'), method_name: 'tensorflow/serving/regress' }],
    input: { example_list: { examples: examples({ x: floats(1) }) } },
  }),
  good('PredictionService/GetModelMetadata', 'GetModelMetadataRequest', {
    model_spec: spec('half_plus_two'),
    metadata_field: ['signature_def'],
  }),
  good('ModelService/GetModelStatus', 'GetModelStatusRequest', { model_spec: spec('half_plus_two') }),
  good('ModelService/HandleReloadConfigRequest', 'ReloadConfigRequest', {
    config: {
      model_config_list: {
        config: [
          {
            name: 'half_plus_two',
            base_path: '/models/half_plus_two',
            model_version_policy: { specific: { versions: [1, 2] } },
            version_labels: { stable: 1 },
          },
        ],
      },
    },
  }),
];

let gateway: Gateway;
let client: GrpcClient;

beforeAll(async () => {
  const mesh = toyMesh();
  gateway = await startGateway({
    mesh,
    models: mesh.directory,
    host: '127.0.0.1',
    restPort: 0,
    grpcPort: 0,
    reload: () => Promise.resolve(),
  });
  client = new GrpcClient(gateway.grpcAddress ?? '');
});
afterAll(async () => {
  client.close();
  await gateway.close();
});

it('takes each of them while it is whole', async () => {
  for (const [method, bytes] of GOOD) expect([method, (await client.callRaw(method, bytes)).code]).toEqual([method, 0]);
});

it(`answers ${MESSAGES} spoiled messages, and says what is wrong with them`, { timeout: MESSAGES * 20 }, async () => {
  const random = seededRandom(SEED);
  const calls = function* (): Generator<readonly [string, Buffer]> {
    for (let i = 0; i < MESSAGES; i++) {
      const [method, bytes] = GOOD[i % GOOD.length] as (typeof GOOD)[number];
      yield [method, mutateMessage(random, bytes)];
    }
  };
  const source = calls();
  const counts: Record<string, number> = {};
  const before = process.memoryUsage.rss();
  let most = before;
  const drain = async (): Promise<void> => {
    for (const [method, bytes] of source) {
      const reply = await client.callRaw(method, bytes);
      const name = status[reply.code] ?? '';
      counts[name] = (counts[name] ?? 0) + 1;
      most = Math.max(most, process.memoryUsage.rss());
      const told = JSON.stringify({ method, bytes: bytes.toString('hex'), reply });
      expect(['OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'FAILED_PRECONDITION', 'UNIMPLEMENTED'], told).toContain(name);
      if ('details' in reply) expect(reply.details, told).not.toBe('');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, drain));
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(MESSAGES);
  // Neither are they all refused nor all taken: the changes go deep.
  expect(counts['OK']).toBeGreaterThan(MESSAGES / 100);
  expect(counts['INVALID_ARGUMENT']).toBeGreaterThan(MESSAGES / 4);
  expect(most - before).toBeLessThan(GROWTH_BYTES_MAX);
});
