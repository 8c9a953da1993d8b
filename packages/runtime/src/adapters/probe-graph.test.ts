import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { expect, test } from 'vitest';
import { PROBE_EXPECTED } from './probe-expected.ts';
import { measureProbe, probeValues } from './probe-graph.ts';

test('the numbers that every backend is held against are those of the plain cpu backend', async () => {
  await tf.setBackend('cpu');
  expect([...(await probeValues())]).toEqual(PROBE_EXPECTED);
});

test('wasm is right by them, and the probe leaves nothing behind', async () => {
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  await tf.setBackend('wasm');
  const { numTensors } = tf.memory();
  const { ok, deviation, runMs } = await measureProbe();
  expect({ ok, isClose: deviation < 1e-4, hasTime: runMs > 0 }).toEqual({ ok: true, isClose: true, hasTime: true });
  expect(tf.memory().numTensors).toBe(numTensors);
});
