/** Reads a request's body, unpacks gzip on the way, and stops at the first byte past a limit. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { MeshError } from '@shoal/protocol';
import type { BodyAccount } from './body-budget.ts';
import { RestError } from './rest-answer.ts';

/** What deflate makes of JSON numbers at best is far below this; what it makes of a bomb is 1030. */
const INFLATION_MAX = 200;
/** Up to this many bytes inflation is free: a picture of zeros shrinks a thousandfold and does no harm. */
const INFLATION_FREE_BYTES = 8 * 1024 * 1024;

/**
 * The body in memory of its own, which may be handed to another thread.
 * @throws RestError 413 past `bytesMax`, packed or unpacked; 415 for an encoding that is not gzip; 400 for broken gzip.
 *   MeshError QUEUE_FULL when the account is at its limit, CANCELLED when the client goes
 */
export async function readBody(
  stream: Readable,
  headers: IncomingHttpHeaders,
  bytesMax: number,
  account: BodyAccount,
): Promise<Buffer> {
  const declared = Number(headers['content-length'] ?? 0);
  if (declared > bytesMax) throw tooLarge(`${declared} bytes, more`, bytesMax);
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== '' && encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new RestError(415, `Content-Encoding is "${encoding.slice(0, 64)}", expected gzip or identity`);
  }
  const isPacked = encoding.endsWith('gzip');
  const body: Buffer[] = [];
  let received = 0;
  let bytes = 0;
  const take = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge('more bytes', bytesMax);
    if (bytes > INFLATION_FREE_BYTES && bytes > INFLATION_MAX * received) {
      throw new RestError(413, `Request body inflates more than ${INFLATION_MAX} times`);
    }
    account.take(chunk.length);
    body.push(chunk);
  };
  const unpacker = isPacked ? new Unpacker(take) : null;
  try {
    // A request that is refused half-way must stay open for its answer.
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > bytesMax) throw tooLarge('more bytes', bytesMax);
      if (unpacker === null) {
        take(chunk);
      } else {
        await unpacker.write(chunk);
      }
    }
    await unpacker?.end();
  } catch (error) {
    // The rest runs off unread: the connection carries the answer, and the next request.
    stream.resume();
    throw readFailure(error, isPacked);
  } finally {
    unpacker?.close();
  }
  return joined(body, bytes);
}

/** Gunzip that ends with the first error, its own or its taker's. */
class Unpacker {
  readonly #gunzip: Gunzip = createGunzip();
  readonly #failed: Promise<never>;

  constructor(take: (chunk: Buffer) => void) {
    this.#failed = new Promise((_resolve, reject) => {
      this.#gunzip.on('error', reject);
      this.#gunzip.on('data', (chunk: Buffer) => {
        try {
          take(chunk);
        } catch (error) {
          this.#gunzip.destroy(error as Error);
        }
      });
    });
    // Whoever writes or ends hears of it; after that nobody waits.
    this.#failed.catch(() => {});
  }

  write(chunk: Buffer): Promise<void> {
    return this.#orFailed((done) => this.#gunzip.write(chunk, () => done()));
  }

  end(): Promise<void> {
    return this.#orFailed((done) => {
      this.#gunzip.once('end', done);
      this.#gunzip.end();
    });
  }

  close(): void {
    this.#gunzip.destroy();
  }

  #orFailed(start: (done: () => void) => void): Promise<void> {
    return Promise.race([this.#failed, new Promise<void>((resolve) => start(resolve))]);
  }
}

const tooLarge = (size: string, bytesMax: number): RestError =>
  new RestError(413, `Request body has ${size} than its limit of ${bytesMax} bytes`);

function readFailure(error: unknown, isPacked: boolean): Error {
  if (error instanceof RestError || error instanceof MeshError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (isPacked && code.startsWith('Z_')) {
    return new RestError(400, `Request body is not valid gzip: ${(error as Error).message}`, { cause: error });
  }
  return new MeshError('CANCELLED', 'the client went away while sending its request', { cause: error });
}

/** Memory of Buffer's shared pool cannot be handed over. */
function joined(chunks: readonly Buffer[], bytes: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(bytes);
  let offset = 0;
  for (const chunk of chunks) offset += chunk.copy(whole, offset);
  return whole;
}
