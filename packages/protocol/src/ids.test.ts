import { describe, expect, test } from 'vitest';
import { assignmentId, digestSchema, modelNameSchema, peerId, requestId, versionSchema } from './ids.ts';

describe('ids', () => {
  test.each(['a', '-', '_', '0', 'A-b_9', 'x'.repeat(64), '__proto__'])('[ID1] %j is an id', (text) => {
    for (const parse of [peerId, requestId, assignmentId]) expect(parse(text)).toBe(text);
  });

  test.each(['', 'x'.repeat(65), 'a b', 'a\n', '\na', 'ä', 'a.b', '../a', 'a/b', '\0'])('[ID1] %j is no id', (text) => {
    expect(() => peerId(text)).toThrow('BAD_INPUT: peer id: value: Invalid string: must match pattern');
    expect(() => requestId(text)).toThrow('BAD_INPUT: request id: ');
    expect(() => assignmentId(text)).toThrow('BAD_INPUT: assignment id: ');
  });
});

describe('models', () => {
  test.each(['m', 'mobilenet_v2', '_x', '0', 'a..b', 'a.', 'm'.repeat(128)])('[ID2] %j names a model', (name) => {
    expect(modelNameSchema.safeParse(name).success).toBe(true);
  });

  test.each(['', '.', '..', '.hidden', '-rf', 'a/b', 'a\\b', 'a:b', 'a%2fb', 'a\n', 'm'.repeat(129)])(
    '[ID2] %j names no model: names are folders and URL segments',
    (name) => expect(modelNameSchema.safeParse(name).success).toBe(false),
  );

  test('[ID2] a version is a whole number from 0', () => {
    for (const version of [0, 1, 2 ** 53 - 1]) expect(versionSchema.safeParse(version).success).toBe(true);
    for (const version of [-1, 1.5, 2 ** 53, Number.NaN, '1', null]) {
      expect(versionSchema.safeParse(version).success).toBe(false);
    }
  });

  test('[ID3] a digest is SHA-256 in lower-case hex', () => {
    expect(digestSchema.safeParse('0a'.repeat(32)).success).toBe(true);
    for (const text of ['0A'.repeat(32), '0a'.repeat(31), `${'0a'.repeat(32)}0`, 'zz'.repeat(32)]) {
      expect(digestSchema.safeParse(text).success).toBe(false);
    }
  });
});
