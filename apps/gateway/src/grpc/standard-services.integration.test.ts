/** What every gRPC server is expected to have: health, for whoever balances load, and reflection, for tools without files. */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type Gateway } from '../compose.ts';
import { GrpcClient } from '../testing/grpc-client.ts';
import { toyMesh } from '../testing/toy-mesh.ts';

const CHECK = 'grpc.health.v1.Health/Check';
const REFLECT = 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const SERVING = 1;

let gateway: Gateway;
let client: GrpcClient;

beforeAll(async () => {
  const mesh = toyMesh();
  gateway = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0, grpcPort: 0 });
  client = new GrpcClient(gateway.grpcAddress ?? '');
});
afterAll(async () => {
  client.close();
  await gateway.close();
});

it.each([
  '',
  'ModelService',
  'PredictionService',
  'tensorflow.serving.ModelService',
  'tensorflow.serving.PredictionService',
])('the health of "%s" is told', async (service) => {
  expect(await client.call(CHECK, { service })).toMatchObject({ code: 0, response: { status: SERVING } });
});

it('of others nothing is known', async () => {
  expect(await client.call(CHECK, { service: 'x' })).toMatchObject({ code: status.NOT_FOUND });
});

it('reflection lists the services and gives their definitions', async () => {
  const { list_services_response } = await client.ask(REFLECT, { list_services: '*' });
  const { service } = list_services_response as { service: { name: string }[] };
  expect(service.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['tensorflow.serving.PredictionService', 'tensorflow.serving.ModelService']),
  );
  const { file_descriptor_response } = await client.ask(REFLECT, {
    file_containing_symbol: 'tensorflow.serving.PredictionService',
  });
  const { file_descriptor_proto } = file_descriptor_response as { file_descriptor_proto: Buffer[] };
  const text = Buffer.concat(file_descriptor_proto).toString('latin1');
  for (const name of ['PredictRequest', 'TensorProto', 'Int64Value']) expect(text).toContain(name);
});

it('a method that nobody has is UNIMPLEMENTED', async () => {
  const reply = await client.callRaw('PredictionService/Train', Buffer.alloc(0));
  expect(reply.code).toBe(status.UNIMPLEMENTED);
});
