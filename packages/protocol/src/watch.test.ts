import { describe, expect, test } from 'vitest';
import { parseWith } from './parse.ts';
import { downMessageSchema } from './signaling.ts';
import { placement, traffic } from './testing/signaling-examples.ts';
import { modelInfoSchema, watchReplySchema, type ModelInfo } from './watch.ts';

describe('watch', () => {
  const signature = { inputs: { x: { dtype: 'float32', shape: [-1, 3], tensor: 'x:0' } }, outputs: {} } as const;
  const info: ModelInfo = {
    model: 'm',
    version: 1,
    signatures: { serving_default: { inputs: { x: { ...signature.inputs.x, shape: [-1, 3] } }, outputs: {} } },
    classNames: ['cat', 'dog'],
    rowsIndependent: true,
    weightBytes: 5,
  };

  test('[SG20] traffic is told whole, within its limits', () => {
    expect(parseWith(downMessageSchema, traffic, 'message')).toEqual(traffic);
    const { split: _, shadow: __, ...plain } = traffic;
    expect(parseWith(downMessageSchema, plain, 'message')).toEqual(plain);
    for (const [wrong, path] of [
      [{ shadow: { version: 2, share: 1.5 } }, 'shadow.share'],
      [{ shadow: { version: 2, share: 0 } }, 'shadow.share'],
      [{ split: { stickyHeader: 'x', weights: [] } }, 'split.weights'],
      [{ split: { stickyHeader: 'x', weights: [{ name: 'a', version: 1, weight: 0 }] } }, 'split.weights.0.weight'],
      [{ labels: { a: -1 } }, 'labels.a'],
    ] as const) {
      expect(() => parseWith(downMessageSchema, { ...traffic, ...wrong }, 'message')).toThrow(path);
    }
  });

  test('[SG9] the reply is the facts and the placement, or a reason', () => {
    for (const reply of [
      { ok: true, info, placement, traffic },
      { ok: true, info: { ...info, classNames: null }, placement, traffic: { ...traffic, latest: null } },
      { ok: false, code: 'MODEL_NOT_FOUND', reason: 'no model "m"' },
    ]) {
      expect(parseWith(watchReplySchema, reply, 'reply')).toEqual(reply);
    }
    expect(() => parseWith(watchReplySchema, { ok: true, code: 'IDLE', reason: '' }, 'reply')).toThrow(
      'BAD_FRAME: reply: info',
    );
    expect(() => parseWith(watchReplySchema, { ok: false, info, placement }, 'reply')).toThrow(
      'BAD_FRAME: reply: code',
    );
  });

  test('[SG13] names in signatures never become a prototype', () => {
    const text = JSON.stringify({ ...info, signatures: { s: signature } })
      .replace('"s":', '"__proto__":{"inputs":{},"outputs":{}},"constructor":')
      .replace('"x":', '"__proto__":{"dtype":"bool","shape":null,"tensor":"t"},"x":');
    const read = parseWith(modelInfoSchema, JSON.parse(text), 'info');
    expect(Object.keys(read.signatures)).toEqual(['constructor']);
    expect(Object.getPrototypeOf(read.signatures)).toBe(Object.prototype);
    const inputs = read.signatures['constructor']?.inputs ?? {};
    expect(Object.keys(inputs)).toEqual(['x']);
    expect(Object.getPrototypeOf(inputs)).toBe(Object.prototype);
  });
});
