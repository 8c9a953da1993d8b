/** A node proves itself: golden vectors on this device, this backend, these weights, before it serves a whole model. */
import { DEFAULT_SIGNATURE, MeshError, type NamedTensors, type Signature } from '@shoal/protocol';
import { compareOutputs, goldenTensors, type GoldenVector, type Manifest } from '@shoal/sharding';
import type { Executor } from './executor.ts';
import { madeUpTensor, rowsOf } from './made-up.ts';
import type { PreparedStage } from './prepare-stage.ts';

/** Speed taken for a model that has no golden vector and no input that could be made up; measured on real work. */
const MS_PER_ROW_ASSUMED = 50;

export interface SelfTestResult {
  readonly passed: number;
  readonly total: number;
  /** Median compute time per batch row. */
  readonly msPerRow: number;
}

/**
 * Runs all golden vectors, the first one twice so that what is compiled at first use does not count as speed.
 * @throws MeshError SELF_TEST_FAILED that names the vector, the output and the deviation
 */
export async function selfTest(
  executor: Executor,
  stageId: string,
  manifest: Manifest,
  onProgress: (passed: number) => void,
): Promise<SelfTestResult> {
  const total = manifest.golden.length;
  if (total === 0) return { passed: 0, total, msPerRow: await dryRun(executor, stageId, manifest) };
  const timesMs: number[] = [];
  for (const [index, vector] of manifest.golden.entries()) {
    // An executor takes its inputs' memory over: each run gets its own.
    if (index === 0) await executor.run(stageId, vector.signature, goldenTensors(vector.inputs));
    const inputs = goldenTensors(vector.inputs);
    const rows = rowsOf(manifest, inputs);
    const { outputs, computeMs } = await executor.run(stageId, vector.signature, inputs);
    const wrong = wrongOutput(vector, index, total, outputs);
    if (wrong !== undefined) throw new MeshError('SELF_TEST_FAILED', wrong);
    timesMs.push(computeMs / rows);
    onProgress(index + 1);
  }
  return { passed: total, total, msPerRow: median(timesMs) };
}

/** What is wrong with the outputs of the golden vector of this index: which output, how far it is off, the limit. */
export function wrongOutput(
  { outputs, relativeTolerance }: GoldenVector,
  index: number,
  total: number,
  actual: NamedTensors,
): string | undefined {
  const { ok, worst, tensor = '', reason = '' } = compareOutputs(goldenTensors(outputs), actual, relativeTolerance);
  if (ok) return undefined;
  const what = Number.isFinite(worst)
    ? `output "${tensor}" deviates by ${worst.toExponential(1)}, limit ${relativeTolerance}`
    : `output ${reason}`;
  return `golden vector ${index + 1} of ${total}: ${what}`;
}

/**
 * Golden vectors are of the whole model, and are run over routes (prover.ts). A stage of several runs on made-up activations
 * first, and what comes out must be finite. Where shapes are known only from a run nothing can be made up.
 * @throws MeshError SELF_TEST_FAILED that names the output; EXECUTION_FAILED
 */
export async function tryStage(
  executor: Executor,
  stageId: string,
  { signatures }: Pick<PreparedStage, 'signatures'>,
): Promise<SelfTestResult> {
  const none = { passed: 0, total: 0 };
  const signature = signatures[DEFAULT_SIGNATURE];
  const specs = Object.values(signature?.inputs ?? {});
  const isKnown = specs.every(({ shape }) => shape?.every((size, axis) => axis === 0 || size >= 0) === true);
  if (signature === undefined || !isKnown) return { ...none, msPerRow: MS_PER_ROW_ASSUMED };
  await executor.run(stageId, DEFAULT_SIGNATURE, madeUpInputs(signature));
  const { outputs, computeMs } = await executor.run(stageId, DEFAULT_SIGNATURE, madeUpInputs(signature));
  for (const [name, { dtype, data }] of Object.entries(outputs)) {
    if (dtype !== 'float32' || (data as Float32Array).every((value) => Number.isFinite(value))) continue;
    throw new MeshError('SELF_TEST_FAILED', `output "${name}" of a run on made-up inputs is not finite`);
  }
  return { ...none, msPerRow: computeMs };
}

/** Times a made-up input. A model that refuses it is no worse for it. */
async function dryRun(executor: Executor, stageId: string, manifest: Manifest): Promise<number> {
  const [name, signature] = Object.entries(manifest.signatures)[0] ?? [];
  if (name === undefined || signature === undefined) return MS_PER_ROW_ASSUMED;
  try {
    await executor.run(stageId, name, madeUpInputs(signature));
    const inputs = madeUpInputs(signature);
    const rows = rowsOf(manifest, inputs);
    const { computeMs } = await executor.run(stageId, name, inputs);
    return computeMs / rows;
  } catch {
    return MS_PER_ROW_ASSUMED;
  }
}

/** One row for each input: floats in [0, 1), zeros of other types. */
export const madeUpInputs = ({ inputs }: Signature): NamedTensors =>
  Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, madeUpTensor(spec)]));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
