/** Spoiled requests over real HTTP: each is answered in time, and what is the caller's fault is never called ours. */
import { seededRandom } from '@shoal/base';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type Gateway } from './compose.ts';
import { HttpClient, type HttpCall } from './testing/http-client.ts';
import { mutate } from './testing/mutate.ts';
import { toyMesh } from './testing/toy-mesh.ts';

const REQUESTS = process.env['SHOAL_LONG'] === '1' ? 200_000 : 20_000;
const AT_ONCE = 32;
const SEED = 8501;

/** What each model takes as it is. */
const GOOD: readonly (readonly [path: string, body: string])[] = [
  ['/v1/models/half_plus_two:predict', '{"instances": [1.0, 2.0, 5.0]}'],
  ['/v1/models/half_plus_two/versions/1:predict', '{"signature_name": "any", "inputs": [[1.5, -2e3], [NaN, 0.125]]}'],
  ['/v1/models/half_plus_two/labels/stable:predict', '{"inputs": {"x": [1, 2, 3]}, "other": {"a": [null]}}'],
  ['/v1/models/sum_and_product:predict', '{"instances": [{"a": [1, 2], "b": [3, 4]}, {"b": [5, 6], "a": [7, 8]}]}'],
  ['/v1/models/sum_and_product:predict', '{"inputs": {"a": [[1, 2]], "b": [[3, 4]]}}'],
  ['/v1/models/upper:predict', '{"instances": ["a", {"b64": "aMOp"}, "c\\u00e9\\n"]}'],
  ['/v1/models/double:predict', '{"instances": [[1, -2], [2147483647, 0]]}'],
  ['/v1/models/not:predict', '{"instances": [true, false, true]}'],
  ['/v1/models/half_plus_two:regress', '{"examples": [{"x": 1.0}, {"x": [2.5]}], "signature_name": "serving_default"}'],
  ['/v1/models/flowers:classify', '{"context": {"width": 1}, "examples": [{"length": [2, 3]}, {"length": [4, 5]}]}'],
];

let gateway: Gateway;
let http: HttpClient;

beforeAll(async () => {
  const mesh = toyMesh();
  gateway = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0, timeoutMs: 10_000 });
  http = new HttpClient(gateway.restUrl);
});
afterAll(async () => {
  http.close();
  await gateway.close();
});

it('takes each of them while it is whole', async () => {
  for (const [path, body] of GOOD) expect([path, (await http.post(path, body)).status]).toEqual([path, 200]);
});

it(`answers ${REQUESTS} spoiled requests with 200 or 4xx, each as JSON`, { timeout: REQUESTS * 20 }, async () => {
  const random = seededRandom(SEED);
  const calls = function* (): Generator<readonly [string, HttpCall]> {
    for (let i = 0; i < REQUESTS; i++) {
      const [path, body] = GOOD[i % GOOD.length] as (typeof GOOD)[number];
      const spoiled = mutate(random, body);
      const isPacked = random.next() < 0.05;
      // One in ten has its path spoiled; what HTTP forbids there would not leave the client.
      const isPathSpoiled = random.next() < 0.1;
      const spoiledPath = mutate(random, path)
        .toString('latin1')
        .replaceAll(/[^!-~]/g, '%');
      yield [
        isPathSpoiled && spoiledPath.startsWith('/') ? spoiledPath : path,
        {
          method: 'POST',
          body: isPacked ? gzipSync(spoiled) : spoiled,
          headers: isPacked || random.next() < 0.02 ? { 'content-encoding': 'gzip' } : {},
        },
      ];
    }
  };
  const source = calls();
  const counts: Record<number, number> = {};
  const before = process.memoryUsage.rss();
  let most = before;
  const drain = async (): Promise<void> => {
    for (const [path, call] of source) {
      const reply = await http.call(path, call);
      counts[reply.status] = (counts[reply.status] ?? 0) + 1;
      most = Math.max(most, process.memoryUsage.rss());
      if (reply.status === 200) {
        expect(reply.body).toMatch(/^\{\n {4}"(predictions|outputs|results)": /);
      } else {
        const told = { path, body: call.body?.toString(), reply };
        expect([400, 404], JSON.stringify(told)).toContain(reply.status);
        expect(typeof (JSON.parse(reply.body) as { error: unknown }).error, JSON.stringify(told)).toBe('string');
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, drain));
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(REQUESTS);
  // What is garbage goes, however many come.
  expect(most - before).toBeLessThan(300e6);
  // Neither are they all refused nor all taken: the changes go deep.
  expect(counts[200]).toBeGreaterThan(REQUESTS / 100);
  expect(counts[400]).toBeGreaterThan(REQUESTS / 2);
});
