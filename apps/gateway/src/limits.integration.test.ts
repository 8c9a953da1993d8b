/** Oversized, packed, broken and endless requests over real HTTP: each is refused by name, and the next one is served. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGateway, type Gateway } from './compose.ts';
import { HttpClient } from './testing/http-client.ts';
import { toyMesh } from './testing/toy-mesh.ts';

const MIB = 1024 * 1024;
const PATH = '/v1/models/half_plus_two:predict';

let gateway: Gateway;
let http: HttpClient;

beforeAll(async () => {
  const mesh = toyMesh();
  gateway = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0 });
  http = new HttpClient(gateway.restUrl);
});
afterAll(async () => {
  http.close();
  await gateway.close();
});

async function expectServed(): Promise<void> {
  expect((await http.post(PATH, '{"instances": [1]}')).status).toBe(200);
}

/** Sends bytes as they are and gives what comes back until the other side, or the first answer, ends. */
function sendRaw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(gateway.restUrl).port), '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('utf8');
    let reply = '';
    socket.on('data', (text: string) => {
      reply += text;
      if (reply.includes('\n}')) socket.destroy();
    });
    socket.on('close', () => resolve(reply));
    socket.on('error', reject);
  });
}

describe('bodies', () => {
  it('refuses 100 MB with the limit in bytes, declared or not', async () => {
    const zeros = Buffer.alloc(100_000_000);
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const reply = await http.post(PATH, zeros, headers);
      expect(reply.status).toBe(413);
      expect(reply.body).toMatch(/than its limit of 67108864 bytes/);
      await expectServed();
    }
  });

  it('refuses a declared length of 3 GB before the first byte', async () => {
    const reply = await sendRaw(`POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000000\r\n\r\n{`);
    expect(reply).toMatch(/^HTTP\/1.1 413 /);
    expect(reply).toContain('3000000000 bytes, more than its limit of 67108864 bytes');
    await expectServed();
  });

  it('stops inflating a bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(300 * MIB));
    expect(bomb.length).toBeLessThan(MIB);
    const reply = await http.post(PATH, bomb, { 'content-encoding': 'gzip' });
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      413,
      { error: 'Request body inflates more than 200 times' },
    ]);
    await expectServed();
  });

  it('refuses what inflates past the limit at a modest rate', async () => {
    const small = await startGateway({
      mesh: toyMesh(),
      models: () => Promise.resolve([]),
      host: '127.0.0.1',
      restPort: 0,
      bodyBytesMax: 1000,
    });
    const client = new HttpClient(small.restUrl);
    const reply = await client.post(PATH, gzipSync(`{"instances": [${'1, '.repeat(400)}1]}`), {
      'content-encoding': 'gzip',
    });
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      413,
      { error: 'Request body has more bytes than its limit of 1000 bytes' },
    ]);
    client.close();
    await small.close();
  });

  it.each([
    ['no gzip', Buffer.from('{"instances": [1]}'), 'gzip', 400, /^Request body is not valid gzip: /],
    ['half a gzip', gzipSync('{"instances": [1]}').subarray(0, 20), 'gzip', 400, /^Request body is not valid gzip: /],
    ['another encoding', Buffer.from('x'), 'br', 415, 'Content-Encoding is "br", expected gzip or identity'],
  ])('refuses %s', async (_what, body, encoding, status, text) => {
    const reply = await http.post(PATH, body, { 'content-encoding': encoding });
    expect(reply.status).toBe(status);
    expect((JSON.parse(reply.body) as { error: string }).error).toMatch(text);
    await expectServed();
  });

  it('takes no harm from depth', async () => {
    for (const open of ['[', '{"a":']) {
      const reply = await http.post(PATH, `{"instances": ${open.repeat(100_000)}`);
      expect([reply.status, (JSON.parse(reply.body) as { error: string }).error]).toEqual([
        400,
        expect.stringMatching(/^JSON Parse error: Nested deeper than 64 levels\. at offset: \d+$/),
      ]);
    }
    await expectServed();
  });
});

describe('requests that are no HTTP', () => {
  it('answers in the same form and closes', async () => {
    expect(await sendRaw('hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 Bad Request[^]*"Malformed request: it is not HTTP"/);
    const long = `GET /v1/models HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`;
    expect(await sendRaw(long)).toMatch(/^HTTP\/1.1 431 [^]*"The request headers are too large"/);
    await expectServed();
  });

  it('keeps serving when clients leave in the middle of a body', async () => {
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(new URL(gateway.restUrl).port), '127.0.0.1', () => {
          socket.write(`POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"ins`, () => {
            socket.destroy();
            resolve();
          });
        });
      });
    }
    await expectServed();
  });
});
