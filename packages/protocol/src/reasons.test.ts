import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePacket, encodePacket } from './packet.ts';
import { MeshError, REASON_CODES, REASONS } from './reasons.ts';

describe('codes', () => {
  test.each(REASON_CODES)('[RC1] %s has a meaning and a hint, each a sentence', (code) => {
    expect(code).toMatch(/^[A-Z][A-Z_]*[A-Z]$/);
    expect(REASONS[code].meaning).toMatch(/^[A-Z].*\.$/);
    expect(REASONS[code].hint).toMatch(/^[A-Z].*\.$/);
  });

  test.each(REASON_CODES)('[RC2] %s fits a goodbye', (reason) => {
    expect(decodePacket(encodePacket({ kind: 'bye', reason }))).toEqual({ kind: 'bye', reason });
  });
});

describe('MeshError', () => {
  test.each(REASON_CODES)('[RC3] %s: code first in the message, advice from the list', (code) => {
    const error = new MeshError(code, 'shape has rank 9, limit 8');
    expect(error.message).toBe(`${code}: shape has rank 9, limit 8`);
    expect(error).toMatchObject({ name: 'MeshError', code, reason: 'shape has rank 9, limit 8' });
    expect(error).toMatchObject({ retryable: REASONS[code].retryable, hint: REASONS[code].hint });
    expect(new MeshError(code).reason).toBe(REASONS[code].meaning);
    expect('cause' in error).toBe(false);
  });

  test('[RC3] a hint and a cause of its own', () => {
    const cause = new Error('disk');
    expect(new MeshError('INTERNAL', 'r', { cause, hint: 'Look there.' })).toMatchObject({
      cause,
      hint: 'Look there.',
    });
  });

  test('[RC4] any thrown value becomes one, with the value as its cause; one stays itself', () => {
    const own = new MeshError('DEADLINE');
    expect(MeshError.from(own, 'INTERNAL')).toBe(own);
    expect(MeshError.from(new Error('disk'), 'EXECUTION_FAILED').message).toBe('EXECUTION_FAILED: disk');
    expect(MeshError.from('text').message).toBe('INTERNAL: text');
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true }), (thrown) => {
        const error = MeshError.from(thrown, 'BAD_INPUT');
        expect(error).toBeInstanceOf(MeshError);
        expect(error.code).toBe('BAD_INPUT');
        if (thrown !== undefined) expect(error.cause).toBe(thrown);
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  test('[RC4] an object that cannot say what it is', () => {
    const mute = {
      toString(): string {
        throw new Error('never');
      },
    };
    expect(MeshError.from(mute).message).toBe(`INTERNAL: ${REASONS.INTERNAL.meaning}`);
    expect(MeshError.from(Object.create(null)).cause).toBeDefined();
  });
});
