/** Oversized, packed and endless calls over real HTTP/2: each is refused by name, and the next one is served. */
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type Gateway } from '../compose.ts';
import { encodeMessage, GrpcClient, type Message, type RpcReply } from '../testing/grpc-client.ts';
import { toyMesh, type ToyMesh } from '../testing/toy-mesh.ts';

const MIB = 1024 * 1024;
const BYTES_MAX = MIB;

let mesh: ToyMesh;
let gateway: Gateway;
let client: GrpcClient;

beforeAll(async () => {
  mesh = toyMesh();
  gateway = await startGateway({
    mesh,
    models: mesh.directory,
    host: '127.0.0.1',
    restPort: 0,
    grpcPort: 0,
    bodyBytesMax: BYTES_MAX,
  });
  client = new GrpcClient(gateway.grpcAddress ?? '');
});
afterAll(async () => {
  client.close();
  await gateway.close();
});

const request = (model: string, elements: number): Message => ({
  model_spec: { name: model },
  inputs: { x: { dtype: 1, tensor_shape: { dim: [{ size: elements }] }, float_val: [1] } },
});

async function expectServed(): Promise<void> {
  expect((await client.call('PredictionService/Predict', request('half_plus_two', 3))).code).toBe(0);
}

/** Sends a frame as it is and gives the trailers. */
function sendFrame(bytes: Buffer, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${gateway.grpcAddress}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/tensorflow.serving.PredictionService/Predict',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let answer: Record<string, unknown> = {};
    const add = (received: object): void => {
      answer = { ...answer, ...received };
      if (!('grpc-status' in answer)) return;
      resolve(answer);
      session.destroy();
    };
    stream.on('response', add);
    stream.on('trailers', add);
    stream.on('error', reject);
    session.on('error', reject);
    stream.resume();
    stream.end(bytes);
  });
}

/** `flag, length, message` as gRPC frames it. */
function frame(flag: number, length: number, message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

it('refuses a declared length of 3 GB before the first byte', async () => {
  const answer = await sendFrame(frame(0, 3e9, Buffer.alloc(100)));
  expect(answer).toMatchObject({
    'grpc-status': String(status.RESOURCE_EXHAUSTED),
    'grpc-message': expect.stringMatching(/3000000000.*vs.*1048576/),
  });
  await expectServed();
});

it('refuses a declared length of 3 GB within a message', async () => {
  const reply = await client.callRaw('PredictionService/Predict', Buffer.from([0x12, 0x80, 0xbc, 0xc1, 0x96, 0x0b]));
  expect(reply).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('field 2 declares 3000000000 bytes, 0 are left'),
  });
});

it('stops inflating a bomb', async () => {
  const bomb = gzipSync(Buffer.alloc(300 * MIB));
  const answer = await sendFrame(frame(1, bomb.length, bomb), { 'grpc-encoding': 'gzip' });
  expect(answer).toMatchObject({ 'grpc-status': String(status.RESOURCE_EXHAUSTED) });
  await expectServed();
});

it('takes what is packed and small enough', async () => {
  const message = encodeMessage('tensorflow.serving.PredictRequest', request('half_plus_two', 1000));
  const packed = gzipSync(message);
  const answer = await sendFrame(frame(1, packed.length, packed), { 'grpc-encoding': 'gzip' });
  expect(answer).toMatchObject({ 'grpc-status': '0' });
});

it('refuses what a few bytes would unfold to, alone and in sum', async () => {
  const large = await client.call('PredictionService/Predict', request('half_plus_two', MIB));
  expect(large).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'tensor parsing error: x: shape [1048576] has 1048576 elements, limit 262144',
  });
  // Each takes a quarter of all room: those that do not fit are told to come again.
  const controllers = Array.from({ length: 20 }, () => new AbortController());
  const settled: RpcReply[] = [];
  const calls = controllers.map(async ({ signal }) => {
    settled.push(await client.call('PredictionService/Predict', request('never', MIB / 4), { signal }));
  });
  await expect.poll(() => settled.length).toBeGreaterThanOrEqual(16);
  for (const reply of settled) {
    expect(reply).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringMatching(/^QUEUE_FULL: /) });
  }
  expect(mesh.underWay).toBe(20 - settled.length);
  for (const controller of controllers) controller.abort();
  await Promise.all(calls);
  await expect.poll(() => mesh.underWay).toBe(0);
  await expectServed();
});

it('serves on when a connection speaks no HTTP/2, or goes in the middle of a message', async () => {
  const port = Number(gateway.grpcAddress?.split(':').at(-1));
  await new Promise<void>((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
    socket.on('close', () => resolve());
    socket.on('error', () => {});
    socket.resume();
  });
  for (let i = 0; i < 20; i++) {
    const session = connect(`http://${gateway.grpcAddress}`);
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': '/tensorflow.serving.PredictionService/Predict',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => {});
    await new Promise<void>((resolve) => stream.write(frame(0, 1000, Buffer.alloc(10)), () => resolve()));
    session.destroy();
  }
  await expectServed();
});

it('refuses examples, inputs and names beyond their limits', async () => {
  const many = Buffer.concat(Array.from({ length: 2 ** 17 + 1 }, () => Buffer.from([0x0a, 0x00])));
  const length = (bytes: Buffer): Buffer => {
    const prefix = [];
    for (let rest = bytes.length; ; rest = Math.floor(rest / 128)) {
      prefix.push(rest >= 128 ? (rest % 128) | 128 : rest);
      if (rest < 128) return Buffer.concat([Buffer.from(prefix), bytes]);
    }
  };
  const spec = encodeMessage('tensorflow.serving.PredictRequest', { model_spec: { name: 'half_plus_two' } });
  const input = Buffer.concat([spec, Buffer.of(0x12), length(Buffer.concat([Buffer.of(0x0a), length(many)]))]);
  expect(await client.callRaw('PredictionService/Regress', input)).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'Input has more than 131072 examples',
  });
  const names = Array.from({ length: 257 }, (_, i) => `n${i}`);
  const filtered = await client.call('PredictionService/Predict', {
    ...request('half_plus_two', 1),
    output_filter: names,
  });
  expect(filtered).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('limit of 256') });
  const inputs = Object.fromEntries(names.map((name) => [name, {}]));
  const fed = await client.call('PredictionService/Predict', { model_spec: { name: 'half_plus_two' }, inputs });
  expect(fed).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('limit of 256') });
});
