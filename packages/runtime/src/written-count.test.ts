import { peerId, WRITINGS_REPORTED_MAX } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { WrittenCount } from './written-count.ts';

const writing = { to: peerId('b'), model: 'm', version: 1, cut: 3, codec: 'f32', rows: 2, bytes: 80, plainBytes: 80 };

test('adds up by receiver, cut and codec, and tells each thing once', () => {
  const count = new WrittenCount();
  count.add(writing);
  count.add({ ...writing, rows: 1, bytes: 40, plainBytes: 40 });
  count.add({ ...writing, codec: 'int8', bytes: 20 });
  count.add({ ...writing, to: peerId('c'), bytes: 10 });
  expect(count.take()).toEqual([
    { ...writing, rows: 3, bytes: 120, plainBytes: 120 },
    { ...writing, codec: 'int8', bytes: 20 },
    { ...writing, to: peerId('c'), bytes: 10 },
  ]);
  expect(count.take()).toEqual([]);
});

test('[SG15] a report has room for those of the most bytes', () => {
  const count = new WrittenCount();
  for (let cut = 1; cut <= WRITINGS_REPORTED_MAX + 10; cut++) count.add({ ...writing, cut, bytes: cut });
  const told = count.take();
  expect(told).toHaveLength(WRITINGS_REPORTED_MAX);
  expect(told.at(-1)?.bytes).toBe(11);
});
