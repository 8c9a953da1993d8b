import type { ModelInfo } from '@shoal/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { DecodePool } from './decode-pool.ts';
import type { InferRequest } from './json/infer-request.ts';
import { readPredictRequest } from './json/predict-request.ts';

const signatures: ModelInfo['signatures'] = {
  serving_default: { inputs: { x: { dtype: 'float32', shape: [-1, 100_000], tensor: 'x:0' } }, outputs: {} },
};
const large = (): Buffer => {
  const text = JSON.stringify({ instances: [Array.from({ length: 100_000 }, (_, i) => i / 7)] });
  const body = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  body.write(text);
  return body;
};
const never = new AbortController().signal;

let pool: DecodePool;
const decode = (body: Buffer, known = signatures): Promise<InferRequest> =>
  pool.decode({ verb: 'predict', body, signatures: known }, never);

afterEach(async () => {
  await pool.close();
});

describe('DecodePool', () => {
  it('reads large requests in threads as it reads small ones at once', { timeout: 60_000 }, async () => {
    pool = new DecodePool(2);
    const expected = readPredictRequest(large(), signatures);
    const bodies = [large(), large(), large(), large(), large()];
    const requests = await Promise.all(bodies.map((body) => decode(body)));
    for (const request of requests) expect(request).toEqual(expected);
    // Handed over, not copied.
    expect(bodies.map(({ length }) => length)).toEqual([0, 0, 0, 0, 0]);
    const small = await decode(Buffer.from('{"inputs": [[1]]}'));
    expect(small.inputs['x']?.shape).toEqual([1, 1]);
  });

  it('passes refusals on with their code', { timeout: 60_000 }, async () => {
    pool = new DecodePool(1);
    const spoiled = large();
    spoiled.write('!', 200_000);
    await expect(decode(spoiled)).rejects.toMatchObject({
      code: 'BAD_INPUT',
      reason: expect.stringMatching(/^JSON Parse error: .* at offset: 200000$/),
    });
    await expect(decode(large(), {})).rejects.toMatchObject({ code: 'SIGNATURE_NOT_FOUND' });
    expect((await decode(large())).layout).toBe('row');
  });

  it('refuses what it has not begun when it closes', { timeout: 60_000 }, async () => {
    pool = new DecodePool(1);
    const waiting = [large(), large()].map((body) => decode(body));
    const outcomes = Promise.allSettled(waiting);
    await pool.close();
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED' } });
    await expect(decode(large())).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
