import { expect, test } from 'vitest';
import { SpareMemory } from './spare-memory.ts';

test('what is given back is lent again, once', () => {
  const memory = new SpareMemory();
  const first = memory.take(100_000);
  expect(first.length).toBe(100_000);
  const second = memory.take(90_000);
  expect(second.buffer).not.toBe(first.buffer);
  memory.giveBack(first);
  memory.giveBack(first);
  expect(memory.take(110_000).buffer).toBe(first.buffer);
  expect(memory.take(110_000).buffer).not.toBe(first.buffer);
});

test('what never came from here is never lent', () => {
  const memory = new SpareMemory();
  const own = new Uint8Array(100_000);
  memory.giveBack(own);
  expect(memory.take(100_000).buffer).not.toBe(own.buffer);
});

test('no more than a few are kept, none of them large', () => {
  const memory = new SpareMemory();
  const large = memory.take(2 * 1024 * 1024);
  memory.giveBack(large);
  expect(memory.take(1000).buffer).not.toBe(large.buffer);
  const many = Array.from({ length: 20 }, () => memory.take(1000));
  for (const each of many) memory.giveBack(each);
  const known = new Set<unknown>(many.map(({ buffer }) => buffer));
  const again = Array.from({ length: 20 }, () => memory.take(1000)).filter(({ buffer }) => known.has(buffer));
  expect(again.length).toBe(8);
});
