import { describe, expect, test } from 'vitest';
import { Goodput } from './goodput.ts';

const KIB = 1024;
/** A message of `packets` packets of 64 KiB, one every `everyMs`. */
function receive(goodput: Goodput, message: number, packets: number, startMs: number, everyMs: number): void {
  for (let i = 0; i < packets; i++) goodput.add(startMs + i * everyMs, message, 64 * KIB, packets * 64 * KIB);
}

describe('goodput', () => {
  test('is the rate of what comes after the first packet', () => {
    const goodput = new Goodput();
    receive(goodput, 0, 9, 1000, 4);
    expect(goodput.bytesPerMs).toBeCloseTo(16 * KIB);
  });

  test('is not told before enough has come, nor by messages of one packet', () => {
    const goodput = new Goodput();
    for (let message = 0; message < 100; message++) receive(goodput, message, 1, message, 1);
    expect(goodput.bytesPerMs).toBeNull();
    receive(goodput, 100, 4, 2000, 1);
    expect(goodput.bytesPerMs).toBeNull();
    receive(goodput, 101, 4, 3000, 1);
    expect(goodput.bytesPerMs).toBeCloseTo(64 * KIB);
  });

  test('packets that come in one turn of the clock do not make an endless rate', () => {
    const goodput = new Goodput();
    for (let message = 0; message < 5; message++) receive(goodput, message, 9, 10, 0);
    expect(goodput.bytesPerMs).toBeNull();
    receive(goodput, 5, 9, 20, 1);
    expect(goodput.bytesPerMs).toBeLessThan(64 * KIB * 8);
  });

  test('follows a link that becomes slower within some messages', () => {
    const goodput = new Goodput();
    for (let message = 0; message < 4; message++) receive(goodput, message, 9, message * 100, 1);
    for (let message = 4; message < 14; message++) receive(goodput, message, 9, message * 100, 8);
    expect(goodput.bytesPerMs).toBeGreaterThan(8 * KIB);
    expect(goodput.bytesPerMs).toBeLessThan(8 * KIB * 1.3);
  });

  test('shows at once that a link has turned a hundred times slower: what is promised goes by it', () => {
    const goodput = new Goodput();
    for (let message = 0; message < 20; message++) receive(goodput, message, 9, message * 100, 0.5);
    for (let message = 20; message < 22; message++) receive(goodput, message, 9, message * 10_000, 50);
    expect(goodput.bytesPerMs).toBeLessThan(2 * 1.28 * KIB * 1.2);
  });

  test('interleaved messages each count from their own first packet, in whatever order packets come', () => {
    const goodput = new Goodput();
    for (let i = 0; i < 9; i++) {
      goodput.add(i * 4, 1, 64 * KIB, 9 * 64 * KIB);
      goodput.add(i * 4 + 2, 2, 64 * KIB, 9 * 64 * KIB);
    }
    expect(goodput.bytesPerMs).toBeCloseTo(16 * KIB);
  });
});
