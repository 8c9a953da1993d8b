import { describe, expect, test } from 'vitest';
import type { TensorHeader } from './channel.ts';
import { DATA_MESSAGE_BYTES_MAX } from './limits.ts';
import { checkBodies, checkTensors } from './tensor-headers.ts';

const header = (over: Partial<TensorHeader>): TensorHeader => ({
  name: 'x',
  dtype: 'float32',
  shape: [2, 3],
  encoding: 'raw',
  bytes: 24,
  ...over,
});
const HUGE = 0x7fff_ffff;

describe('headers', () => {
  test.each<[string, Partial<TensorHeader>, string]>([
    ['[MS4]', { bytes: 23 }, 'has 23 bytes, float32 [2, 3] as raw takes 24'],
    ['[MS4]', { dtype: 'int32', bytes: 6 }, 'has 6 bytes, int32 [2, 3] as raw takes 24'],
    ['[MS4]', { dtype: 'bool' }, 'has 24 bytes, bool [2, 3] as raw takes 6'],
    ['[MS4]', { shape: [] }, 'has 24 bytes, float32 [] as raw takes 4'],
    ['[MS4]', { shape: [0, HUGE], bytes: 4 }, 'has 4 bytes, float32 [0, 2147483647] as raw takes 0'],
    ['[MS4]', { shape: Array.from({ length: 8 }, () => HUGE) }, 'has 24 bytes, float32 [2147483647, '],
    ['[MS5]', { dtype: 'string', bytes: 23 }, 'has 23 bytes, string [2, 3] as raw takes at least 24'],
    ['[MS5]', { dtype: 'string', shape: [HUGE] }, 'has 24 bytes, string [2147483647] as raw takes at least'],
    ['[MS11]', { encoding: 'coded', bytes: 1 }, 'has 1 bytes, float32 [2, 3] as coded takes at least 2'],
    ['[MS11]', { encoding: 'coded', dtype: 'string' }, 'is string [2, 3] as coded, expected numbers'],
    [
      '[MS11]',
      { encoding: 'coded', shape: [4_194_305] },
      'is float32 [4194305] as coded: coded tensors of 16777220 bytes',
    ],
    ['[MS11]', { encoding: 'coded', shape: [HUGE, HUGE] }, 'is float32 [2147483647, 2147483647] as coded: coded'],
    ['[MS6]', { name: '__proto__' }, 'has a name that is not allowed'],
  ])('%s %j is refused', (_, over, reason) => {
    const refused = header(over);
    expect(() => checkTensors([refused])).toThrow(`BAD_FRAME: tensor "${refused.name}" ${reason}`);
    expect(() => checkTensors([header({ name: 'good' }), refused])).toThrow('BAD_FRAME');
  });

  test.each<[string, Partial<TensorHeader>]>([
    ['[MS4]', {}],
    ['[MS4]', { dtype: 'int32' }],
    ['[MS4]', { dtype: 'bool', bytes: 6 }],
    ['[MS4]', { shape: [], bytes: 4 }],
    ['[MS4]', { shape: [0, HUGE, HUGE], bytes: 0 }],
    ['[MS5]', { dtype: 'string' }],
    ['[MS5]', { dtype: 'string', bytes: 999 }],
    ['[MS11]', { encoding: 'coded', dtype: 'int32', shape: [4_194_304], bytes: 2 }],
    ['[MS6]', { name: 'constructor' }],
  ])('%s %j is accepted', (_, over) => {
    expect(() => checkTensors([header(over)])).not.toThrow();
  });

  test('[MS11] coded tensors share one limit', () => {
    const half = (name: string): TensorHeader => header({ name, encoding: 'coded', shape: [2_097_152] });
    expect(() => checkTensors([half('a'), half('b')])).not.toThrow();
    expect(() => checkTensors([half('a'), half('b'), header({ encoding: 'coded', shape: [] })])).toThrow(
      'tensor "x" is float32 [] as coded: coded tensors of 16777220 bytes decoded, limit 16777216 bytes',
    );
  });

  test('[MS6] a tensor listed twice is refused', () => {
    expect(() => checkTensors([header({}), header({ shape: [], bytes: 4 })])).toThrow('tensor "x" is listed twice');
  });
});

describe('bodies', () => {
  test('[MS7] as many as headers, each as long as its header says', () => {
    const one = { what: 'tensor "x"', bytes: 24 };
    expect(() => checkBodies([one], [new Uint8Array(24)])).not.toThrow();
    expect(() => checkBodies([one], [])).toThrow('message has 0 bodies, its header lists 1');
    expect(() => checkBodies([one], [new Uint8Array(23)])).toThrow('tensor "x" has 23 bytes, its header says 24');
  });

  test('[MS7] no more bytes than one message carries', () => {
    const half = DATA_MESSAGE_BYTES_MAX / 2;
    const body = new Uint8Array(half);
    const two = ['a', 'b'].map((what) => ({ what, bytes: half }));
    expect(() => checkBodies(two, [body, body])).not.toThrow();
    expect(() => checkBodies([...two, { what: 'c', bytes: 1 }], [body, body, new Uint8Array(1)])).toThrow(
      'TOO_LARGE: tensors of 16777217 bytes in one message, limit 16777216 bytes',
    );
  });
});
