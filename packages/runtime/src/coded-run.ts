/** A run on tensors as they are on the wire, from one that takes and gives them plain. */
import { newRoom, type Room, type SpareMemory } from '@shoal/base';
import type { NamedTensors } from '@shoal/protocol';
import {
  CODECS,
  decodeTensor,
  encodeActivation,
  REFERENCE_KERNELS,
  type CodecKernels,
  type CodecSpec,
} from '@shoal/sharding';
import type { CodedResult, CodedWork, RunResult } from './executor.ts';

/** What a codec that this software does not know is taken for: right under every error budget. */
const LOSSLESS: CodecSpec = { kind: 'exact' };

export const codecSpec = (name: string): CodecSpec => CODECS.get(name) ?? LOSSLESS;

/**
 * @param memory for inputs, used again after the run: `run` keeps no input, and gives none as an output
 * @throws MeshError BAD_FRAME for inputs that cannot be decoded, and as `run`
 */
export async function codedRun(
  { inputs, codec }: CodedWork,
  run: (inputs: NamedTensors) => Promise<RunResult>,
  nowMs: () => number,
  kernels: CodecKernels = REFERENCE_KERNELS,
  memory?: SpareMemory,
): Promise<CodedResult> {
  const startedAtMs = nowMs();
  const room: Room = memory === undefined ? newRoom : (bytes) => memory.take(bytes);
  const decoded = inputs.map((encoded) => [encoded.header.name, decodeTensor(encoded, kernels, room)] as const);
  const decodeMs = nowMs() - startedAtMs;
  const { outputs, computeMs } = await run(Object.fromEntries(decoded));
  for (const [, { data }] of decoded) if (ArrayBuffer.isView(data)) memory?.giveBack(data);
  const computedAtMs = nowMs();
  const spec = codecSpec(codec);
  const written = Object.entries(outputs).map(([name, tensor]) => encodeActivation(name, tensor, spec, kernels));
  return { outputs: written, computeMs, decodeMs, encodeMs: nowMs() - computedAtMs };
}
