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

test('what fits best is lent', () => {
  const memory = new SpareMemory();
  const [small, large] = [memory.take(100_000), memory.take(1_000_000)];
  for (const each of [small, large]) memory.giveBack(each);
  expect(memory.take(90_000).buffer).toBe(small.buffer);
  expect(memory.take(90_000).buffer).toBe(large.buffer);
});

test('no more than a few are kept, and no more than 8 MiB together', () => {
  const memory = new SpareMemory();
  const large = memory.take(9 * 1024 * 1024);
  memory.giveBack(large);
  expect(memory.take(1000).buffer).not.toBe(large.buffer);
  const pictures = Array.from({ length: 4 }, () => memory.take(3 * 1024 * 1024));
  for (const each of pictures) memory.giveBack(each);
  const kept = Array.from({ length: 4 }, () => memory.take(3 * 1024 * 1024)).map(({ buffer }) => buffer);
  expect(pictures.filter(({ buffer }) => kept.includes(buffer))).toHaveLength(2);
  const many = Array.from({ length: 20 }, () => memory.take(1000));
  for (const each of many) memory.giveBack(each);
  const known = new Set<unknown>(many.map(({ buffer }) => buffer));
  const again = Array.from({ length: 20 }, () => memory.take(1000)).filter(({ buffer }) => known.has(buffer));
  expect(again.length).toBe(8);
});
