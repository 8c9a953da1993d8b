import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BodyBudget } from './body-budget.ts';
import { readBody } from './body-reader.ts';

const MIB = 1024 * 1024;

/** A body that is made as it is read, and tells how much of it was. */
function endless(chunk: Buffer): { stream: Readable; made: () => number } {
  let made = 0;
  const stream = new Readable({
    read() {
      setImmediate(() => {
        made += chunk.length;
        this.push(chunk);
      });
    },
  });
  return { stream, made: () => made };
}

describe('readBody', () => {
  it('gives the body in memory of its own', async () => {
    const body = await readBody(
      Readable.from([Buffer.from('{"a"'), Buffer.from(':1}')]),
      {},
      MIB,
      new BodyBudget(MIB).open(),
    );
    expect(body.toString()).toBe('{"a":1}');
    expect(body.buffer.byteLength).toBe(body.length);
  });

  it('stops reading at the limit', async () => {
    const { stream, made } = endless(Buffer.alloc(64 * 1024));
    const budget = new BodyBudget(100 * MIB);
    const account = budget.open();
    await expect(readBody(stream, {}, 4 * MIB, account)).rejects.toMatchObject({ status: 413 });
    expect(budget.bytes).toBeLessThanOrEqual(4 * MIB);
    expect(made()).toBeLessThan(5 * MIB);
    expect(stream.destroyed).toBe(false);
    stream.destroy();
    account.close();
    expect(budget.bytes).toBe(0);
  });

  it('stops inflating at the limit, and long before it what inflates too much', async () => {
    const budget = new BodyBudget(100 * MIB);
    const bomb = gzipSync(Buffer.alloc(300 * MIB));
    const chunks = Array.from({ length: Math.ceil(bomb.length / 16_384) }, (_, i) =>
      bomb.subarray(i * 16_384, (i + 1) * 16_384),
    );
    const headers = { 'content-encoding': 'gzip' };
    await expect(readBody(Readable.from(chunks), headers, 64 * MIB, budget.open())).rejects.toThrow(
      'Request body inflates more than 200 times',
    );
    expect(budget.bytes).toBeLessThan(9 * MIB);
    const tight = new BodyBudget(100 * MIB);
    await expect(readBody(Readable.from(chunks), headers, 4 * MIB, tight.open())).rejects.toMatchObject({
      status: 413,
    });
    expect(tight.bytes).toBeLessThanOrEqual(4 * MIB);
  });

  it('refuses a body when those under way leave no room', async () => {
    const budget = new BodyBudget(3 * MIB);
    const first = budget.open();
    await readBody(Readable.from([Buffer.alloc(2 * MIB)]), {}, 4 * MIB, first);
    const second = (): Promise<Buffer> => readBody(Readable.from([Buffer.alloc(2 * MIB)]), {}, 4 * MIB, budget.open());
    await expect(second()).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    first.close();
    expect(await second()).toHaveLength(2 * MIB);
  });

  it('takes concatenated gzip members', async () => {
    const body = Buffer.concat([gzipSync('{"a"'), gzipSync(':1}')]);
    const headers = { 'content-encoding': 'gzip' };
    const read = await readBody(Readable.from([body]), headers, MIB, new BodyBudget(MIB).open());
    expect(read.toString()).toBe('{"a":1}');
  });

  it('says that the client went when the stream breaks', async () => {
    const { stream } = endless(Buffer.alloc(16));
    const reading = readBody(stream, {}, 64 * MIB, new BodyBudget(64 * MIB).open());
    stream.destroy(new Error('aborted'));
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
