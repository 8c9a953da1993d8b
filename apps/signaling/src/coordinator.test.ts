/** The coordinator as peers and programs meet it: over real HTTP and real sockets. */
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROTOCOL_VERSION, type DownMessage, type WatchReply } from '@shoal/protocol';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startCoordinator, type Coordinator } from './compose.ts';

const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));

let folder: string;
let coordinator: Coordinator;
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-coordinator-'));
  for (const model of ['half_plus_two', 'digits'])
    await cp(join(SAMPLES, model), join(folder, 'models', model), { recursive: true });
  coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: join(folder, 'state'),
    origins: ['https://app.example'],
  });
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});
afterAll(async () => {
  await coordinator.close();
  await rm(folder, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(coordinator.url + path, { headers });

interface Peer {
  readonly socket: Socket;
  readonly welcome: Extract<DownMessage, { type: 'welcome' }>;
  /** The next word of a type. */
  next<Type extends DownMessage['type']>(type: Type): Promise<Extract<DownMessage, { type: Type }>>;
}

async function enter(auth: object, headers: Record<string, string> = {}): Promise<Peer> {
  const socket = io(coordinator.url, {
    transports: ['websocket'],
    auth,
    reconnection: false,
    extraHeaders: headers,
    forceNew: true,
  });
  sockets.push(socket);
  const early: DownMessage[] = [];
  const waiting: { type: string; resolve: (message: DownMessage) => void }[] = [];
  socket.on('down', (message: DownMessage) => {
    const at = waiting.findIndex(({ type }) => type === message.type);
    if (at === -1) early.push(message);
    else waiting.splice(at, 1)[0]?.resolve(message);
  });
  const next = <Type extends DownMessage['type']>(type: Type) => {
    const at = early.findIndex((message) => message.type === type);
    if (at !== -1) return Promise.resolve(early.splice(at, 1)[0] as Extract<DownMessage, { type: Type }>);
    return new Promise<Extract<DownMessage, { type: Type }>>((resolve) => {
      waiting.push({ type, resolve: resolve as (message: DownMessage) => void });
    });
  };
  const refused = new Promise<never>((_resolve, reject) => {
    socket.on('connect_error', (error) => reject(Object.assign(error, (error as { data?: object }).data ?? {})));
  });
  refused.catch(() => {});
  return { socket, welcome: await Promise.race([next('welcome'), refused]), next };
}

const invited = async (role: 'node' | 'client'): Promise<object> => ({
  protocol: PROTOCOL_VERSION,
  role,
  invite: await coordinator.invite(role, 60),
});

const PROFILE = { name: 'testnode', platform: 'test', backend: 'cpu', backends: [], memoryBytesMax: 1e9 };

describe('health', () => {
  test('up is not ready: with no node, readyz says of each model why', async () => {
    expect((await get('/healthz')).status).toBe(200);
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      ready: false,
      reasons: [
        { model: 'digits', code: 'NO_CAPACITY' },
        { model: 'half_plus_two', code: 'NO_CAPACITY' },
      ],
    });
  });

  test('metrics are in Prometheus form', async () => {
    const text = await (await get('/metrics')).text();
    expect(text).toContain('# TYPE shoal_joins_total counter');
  });
});

describe('model files', () => {
  test('come whole or by range, with a tag, to be cached for ever; digests match the manifest', async () => {
    const manifest = await (await get('/models/digits/1/manifest.json')).json();
    for (const shard of [...manifest.topology, ...manifest.weights]) {
      const response = await get(`/models/digits/1/${shard.path}`, {
        range: `bytes=${shard.offset}-${shard.offset + shard.bytes - 1}`,
      });
      expect(response.status).toBe(206);
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(shard.digest);
    }
    const whole = await get('/models/digits/1/model.json');
    expect(whole.headers.get('cache-control')).toContain('immutable');
    const again = await get('/models/digits/1/model.json', { 'if-none-match': whole.headers.get('etag') ?? '' });
    expect(again.status).toBe(304);
  });

  test.each([
    ['bytes=0-9', 206, 10],
    ['bytes=-5', 206, 5],
    ['bytes=999999999-', 416, 0],
    ['bytes=5-4', 416, 0],
  ])('range %s is answered with %i and %i bytes', async (range, status, length) => {
    const response = await get('/models/half_plus_two/1/model.json', { range });
    expect(response.status).toBe(status);
    expect((await response.arrayBuffer()).byteLength).toBe(length);
  });

  test('nothing else of the disk is to be had', async () => {
    for (const path of [
      '/models/digits/1/..%2f..%2fserving.json',
      '/models/digits/1/serving.json',
      '/models/digits/9/model.json',
      '/models/..%2fstate/1/signing-key.json',
      '/models/digits/1e0/model.json',
    ]) {
      const response = await get(path);
      expect(response.status, path).toBe(404);
    }
  });
});

describe('the admin API', () => {
  const routes = [
    ['/api/v1/models', ['client', 'admin']],
    ['/api/v1/nodes', ['admin']],
    ['/api/v1/clients', ['admin']],
    ['/api/v1/placement', ['admin']],
    ['/api/v1/models/digits', ['admin']],
    ['/api/v1/versions', ['admin']],
  ] as const;

  test('is closed without a token, with an altered or expired one, and to other roles', async () => {
    for (const [path, allowed] of routes) {
      expect((await get(path)).status, path).toBe(401);
      expect((await get(path, { authorization: 'Bearer a.b.c' })).status, path).toBe(401);
      expect((await get(path, { authorization: `Bearer ${await coordinator.invite('admin', -1)}` })).status, path).toBe(
        401,
      );
      for (const role of ['node', 'client', 'admin'] as const) {
        const { status } = await get(path, { authorization: `Bearer ${await coordinator.invite(role, 60)}` });
        expect(status, `${path} as ${role}`).toBe((allowed as readonly string[]).includes(role) ? 200 : 403);
      }
    }
  });

  test('makes invites that open the door', async () => {
    const authorization = `Bearer ${await coordinator.invite('admin', 60)}`;
    const post = (body: object): Promise<Response> =>
      fetch(`${coordinator.url}/api/v1/invites`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const { invite } = (await (await post({ role: 'node', seconds: 60 })).json()) as { invite: string };
    const { welcome } = await enter({ protocol: PROTOCOL_VERSION, role: 'node', invite });
    expect(welcome.peerId).toMatch(/^node_/);
    for (const body of [
      { role: 'admin', seconds: 60 },
      { role: 'node', seconds: 0 },
      { role: 'node', seconds: 1e9 },
      {},
    ]) {
      expect((await post(body)).status).toBe(400);
    }
  });
});

describe('versions over the API', () => {
  const call = async (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${coordinator.url}/api/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await coordinator.invite('admin', 60)}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  test('are closed to other roles, for reading and for changing', async () => {
    const authorization = `Bearer ${await coordinator.invite('client', 60)}`;
    for (const [method, path] of [
      ['GET', 'models/digits'],
      ['PATCH', 'models/digits'],
      ['POST', 'models/digits/rollback'],
      ['POST', 'reload'],
    ] as const) {
      const url = `${coordinator.url}/api/v1/${path}`;
      expect((await fetch(url, { method })).status, path).toBe(401);
      expect((await fetch(url, { method, headers: { authorization } })).status, path).toBe(403);
    }
  });

  test('show what is in force', async () => {
    expect(await (await call('GET', 'models/digits')).json()).toEqual({
      model: 'digits',
      latest: null,
      policy: { latest: 1 },
      labels: {},
      split: null,
      shadow: null,
      versions: [
        expect.objectContaining({ version: 1, state: 'LOADING', code: 'NO_CAPACITY', replicas: 0, labels: [] }),
      ],
      comparisons: [],
      recording: null,
      configError: null,
    });
    expect((await call('GET', 'models/nobody')).status).toBe(404);
  });

  test.each([
    ['PATCH', 'models/digits', [], 400, 'versionPolicy, labels, split, shadow'],
    ['PATCH', 'models/digits', { golden: [] }, 400, 'not "golden"'],
    ['PATCH', 'models/digits', { versionPolicy: { latest: 0 } }, 400, 'versionPolicy'],
    ['PATCH', 'models/digits', { labels: 5 }, 400, 'labels'],
    ['PATCH', 'models/digits', { labels: { stable: 1 } }, 409, 'not currently available for inference'],
    ['PATCH', 'models/digits', { split: { weights: { 7: 1 } } }, 404, 'no version 7, it has 1'],
    ['PATCH', 'models/digits', { shadow: { to: 'canary', share: 1 } }, 400, 'shadow.to'],
    ['PATCH', 'models/nobody', {}, 404, 'nobody'],
    ['POST', 'models/digits/rollback', undefined, 404, 'no earlier version'],
    ['POST', 'models/digits/rollback', { to: 'one' }, 400, 'to'],
  ])('%s %s with %j is refused by %i and a reason', async (method, path, body, status, reason) => {
    const before = await readFile(join(folder, 'models/digits/serving.json'), 'utf8');
    const response = await call(method, path, body);
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { reason: string } }).error.reason).toContain(reason);
    expect(await readFile(join(folder, 'models/digits/serving.json'), 'utf8')).toBe(before);
  });

  test('are changed in serving.json, which keeps the rest of what it says', async () => {
    const file = join(folder, 'models/digits/serving.json');
    const before = JSON.parse(await readFile(file, 'utf8')) as object;
    const response = await call('PATCH', 'models/digits', { versionPolicy: 'all', split: { weights: { 1: 1 } } });
    expect(await response.json()).toMatchObject({
      policy: 'all',
      split: { stickyHeader: 'x-shoal-sticky', parts: [{ name: '1', weight: 1, version: null }] },
    });
    const changed = { ...before, versionPolicy: 'all', split: { weights: { 1: 1 } } };
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(changed);
    await call('PATCH', 'models/digits', { versionPolicy: null, split: null });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(before);
    expect((await call('POST', 'reload')).status).toBe(200);
  });
});

describe('admission', () => {
  test('a refused handshake carries code and reason', async () => {
    await expect(enter({ protocol: PROTOCOL_VERSION, role: 'node', invite: 'a.b.c' })).rejects.toMatchObject({
      code: 'INVITE_INVALID',
    });
    await expect(
      enter({ protocol: PROTOCOL_VERSION, role: 'node', invite: await coordinator.invite('node', -1) }),
    ).rejects.toMatchObject({ code: 'INVITE_EXPIRED' });
    await expect(enter({ protocol: 99, role: 'node' })).rejects.toMatchObject({ code: 'VERSION_SKEW' });
  });

  test('a page of another origin is turned away, WebSocket or not; one that is allowed comes in', async () => {
    await expect(enter(await invited('node'), { origin: 'https://evil.example' })).rejects.toThrow('websocket error');
    await expect(enter(await invited('node'), { origin: 'https://app.example' })).resolves.toBeDefined();
    await expect(enter(await invited('node'), { origin: coordinator.url })).resolves.toBeDefined();
  });
});

describe('a node', () => {
  test('registers, is assigned every model, and serves once it says ready', async () => {
    const node = await enter(await invited('node'));
    const client = await enter(await invited('client'));
    const reply = (await client.socket.emitWithAck('watch', { type: 'watch', model: 'half_plus_two' })) as WatchReply;
    expect(reply).toMatchObject({
      ok: true,
      info: { model: 'half_plus_two', version: 1 },
      placement: { code: 'NO_CAPACITY' },
    });
    node.socket.emit('up', { type: 'register', profile: PROFILE, holds: [] });
    const assigned = [await node.next('assign'), await node.next('assign')];
    expect(assigned.map(({ model }) => model).sort()).toEqual(['digits', 'half_plus_two']);
    const { assignmentId } = assigned.find(({ model }) => model === 'half_plus_two') as (typeof assigned)[0];
    node.socket.emit('up', { type: 'assignment', assignmentId, state: 'ready', msPerRow: 2 });
    let placement = await client.next('placement');
    while (placement.code !== undefined) placement = await client.next('placement');
    expect(placement.stages).toEqual([
      { replicas: [{ node: node.welcome.peerId, name: 'testnode', backend: 'cpu', msPerRow: 2 }] },
    ]);
    node.socket.disconnect();
    expect(await client.next('peer-left')).toMatchObject({ peerId: node.welcome.peerId });
    expect(await client.next('placement')).toMatchObject({ code: 'NO_CAPACITY' });
  });

  test('that comes back by its session is the same peer', async () => {
    const { welcome, socket } = await enter(await invited('node'));
    socket.disconnect();
    const back = await enter({ protocol: PROTOCOL_VERSION, role: 'node', session: welcome.session });
    expect(back.welcome.peerId).toBe(welcome.peerId);
  });

  test('that says something malformed is told what, and goes on', async () => {
    const node = await enter(await invited('node'));
    node.socket.emit('up', { type: 'register', profile: { ...PROFILE, memoryBytesMax: -1 }, holds: [] });
    expect(await node.next('refused')).toMatchObject({
      code: 'BAD_FRAME',
      reason: expect.stringContaining('memoryBytesMax'),
    });
    node.socket.emit('up', { type: 'signal', to: 'node_nobody', payload: {} });
    expect(await node.next('refused')).toMatchObject({ code: 'PEER_UNKNOWN' });
    node.socket.emit('up', { type: 'signal', to: node.welcome.peerId, payload: 'x'.repeat(70_000) });
    expect(await node.next('refused')).toMatchObject({ code: 'TOO_LARGE' });
    node.socket.emit('up', { type: 'signal', to: node.welcome.peerId, payload: { hello: 1 } });
    expect(await node.next('signal')).toEqual({ type: 'signal', from: node.welcome.peerId, payload: { hello: 1 } });
  });
});

describe('shards', () => {
  const bearer = async (): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await coordinator.invite('admin', 60)}`,
  });
  const topologyOf = async (model: string): Promise<{ digest: string; bytes: number }> =>
    (await (await get(`/models/${model}/1/manifest.json`)).json()).topology[0];

  test('[SH5] [SH6] the first that wants one is sent here, the next to that one, and those after it to who holds it', async () => {
    const { digest } = await topologyOf('digits');
    const [one, two] = [await enter(await invited('node')), await enter(await invited('node'))];
    const wanted = { type: 'shards-wanted', digests: [digest] };
    one.socket.emit('up', wanted);
    expect((await one.next('shard-sources')).sources).toEqual([{ digest, peers: [], isFetching: false }]);
    two.socket.emit('up', wanted);
    const { peerId } = one.welcome;
    expect((await two.next('shard-sources')).sources).toEqual([{ digest, peers: [peerId], isFetching: true }]);
    one.socket.emit('up', { type: 'shards-held', digests: [digest] });
    one.socket.emit('up', wanted);
    await one.next('shard-sources');
    two.socket.emit('up', wanted);
    expect((await two.next('shard-sources')).sources).toEqual([{ digest, peers: [peerId], isFetching: false }]);
    one.socket.disconnect();
    await two.next('peer-left');
    two.socket.emit('up', wanted);
    expect((await two.next('shard-sources')).sources).toEqual([{ digest, peers: [], isFetching: false }]);
  });

  test('are the business of nodes', async () => {
    const client = await enter(await invited('client'));
    client.socket.emit('up', { type: 'shards-held', digests: ['f'.repeat(64)] });
    expect(await client.next('refused')).toMatchObject({ code: 'ROLE_NOT_ALLOWED' });
  });

  test('what was sent of each is measured, for the admin and for Prometheus, and so is what nodes report', async () => {
    const { bytes } = await topologyOf('half_plus_two');
    const view = async () => (await get('/api/v1/shards', await bearer())).json();
    const of = (shown: { models: { model: string; bytesSent: number; copiesMax: number }[] }) =>
      shown.models.find(({ model }) => model === 'half_plus_two/1');
    const before = of(await view())?.bytesSent ?? 0;
    for (let i = 0; i < 3; i++) await (await get('/models/half_plus_two/1/model.json')).arrayBuffer();
    expect(of(await view())?.bytesSent).toBe(before + 3 * bytes);
    expect(of(await view())?.copiesMax).toBeGreaterThanOrEqual(3);
    const node = await enter(await invited('node'));
    const shards = { cacheBytes: 1, peerBytes: 20, coordinatorBytes: 300, servedBytes: 4000 };
    node.socket.emit('up', { type: 'pong', sequence: 0, shards });
    node.socket.emit('up', { type: 'shards-wanted', digests: ['f'.repeat(64)] });
    await node.next('shard-sources');
    const { nodes } = await view();
    expect(nodes).toContainEqual({ peerId: node.welcome.peerId, ...shards, held: 0, strikes: 0, isShunned: false });
    const metrics = await (await get('/metrics')).text();
    expect(metrics).toContain('shoal_shard_bytes_total{from="peers"} 20');
    expect(metrics).toMatch(/shoal_shard_copies_max\{model="half_plus_two\/1"\} [3-9]/);
    expect((await get('/api/v1/shards')).status).toBe(401);
  });
});

test('a coordinator that ends calls nobody gone: the links between peers are not its own', async () => {
  const own = await mkdtemp(join(tmpdir(), 'shoal-coordinator-'));
  const ending = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder: join(folder, 'models'),
    stateFolder: own,
  });
  const heard: string[] = [];
  for (const role of ['node', 'client', 'client'] as const) {
    const auth = { protocol: PROTOCOL_VERSION, role, invite: await ending.invite(role, 60) };
    const socket = io(ending.url, { transports: ['websocket'], auth, reconnection: false, forceNew: true });
    sockets.push(socket);
    await new Promise<void>((resolve) => {
      socket.on('down', ({ type }: DownMessage) => {
        heard.push(type);
        if (type === 'welcome') resolve();
      });
    });
  }
  await ending.close();
  expect(heard).not.toContain('peer-left');
  await rm(own, { recursive: true });
});

describe('watch', () => {
  test.each([
    [{ model: 'nobody' }, 'MODEL_NOT_FOUND'],
    [{ model: 'digits', version: 7 }, 'VERSION_NOT_FOUND'],
    [{ model: 'digits', label: 'stable' }, 'LABEL_NOT_FOUND'],
    [{ model: '../etc' }, 'BAD_FRAME'],
  ])('of %o is refused by %s', async (asked, code) => {
    const client = await enter(await invited('client'));
    const reply = (await client.socket.emitWithAck('watch', { type: 'watch', ...asked })) as WatchReply;
    expect(reply).toMatchObject({ ok: false, code });
  });
});
