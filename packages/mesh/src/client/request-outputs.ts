/** Microbatches' outputs, checked and put together in the order of the request's rows. */
import {
  MeshError,
  type NamedTensors,
  type ResultMessage,
  type Signature,
  type TensorData,
  type TensorValues,
} from '@shoal/protocol';

import { decodeTensor } from '@shoal/sharding';

/** Outputs of rows `[start, end)`. */
export interface OutputPart {
  readonly start: number;
  readonly end: number;
  readonly outputs: NamedTensors;
}

/**
 * Reads a node's answer for rows `[start, end)`.
 * @throws MeshError EXECUTION_FAILED: one node's answer is broken, which is no reason to ask no other
 */
export function readOutputs(
  signature: Signature,
  { start, end }: { readonly start: number; readonly end: number },
  splittable: boolean,
  { tensors }: ResultMessage,
  bodies: readonly Uint8Array[],
): OutputPart {
  try {
    const outputs = tensors.map((header, i) => {
      const data = bodies[i] ?? new Uint8Array(0);
      return [header.name, decodeTensor({ header, data })] as const;
    });
    const part: OutputPart = { start, end, outputs: Object.fromEntries(outputs) };
    checkOutputs(signature, part, splittable);
    return part;
  } catch (error) {
    throw new MeshError('EXECUTION_FAILED', MeshError.from(error).reason, { cause: error });
  }
}

/**
 * Whether a node's answer has what the signature promises.
 * @throws MeshError EXECUTION_FAILED that names the output at fault
 */
export function checkOutputs(signature: Signature, part: OutputPart, splittable: boolean): void {
  for (const [name, spec] of Object.entries(signature.outputs)) {
    const tensor = Object.hasOwn(part.outputs, name) ? part.outputs[name] : undefined;
    if (tensor === undefined) throw new MeshError('EXECUTION_FAILED', `the node's answer lacks output "${name}"`);
    if (tensor.dtype !== spec.dtype) {
      throw new MeshError('EXECUTION_FAILED', `output "${name}" came as ${tensor.dtype}, expected ${spec.dtype}`);
    }
    const rows = part.end - part.start;
    if (splittable && tensor.shape[0] !== rows) {
      throw new MeshError(
        'EXECUTION_FAILED',
        `output "${name}" came with ${tensor.shape[0] ?? 'no'} rows, expected ${rows}`,
      );
    }
  }
}

/**
 * Joins parts along the batch dimension. The parts cover the request's rows without gap or overlap.
 * @throws MeshError EXECUTION_FAILED where nodes gave parts that do not fit each other
 */
export function joinOutputs(signature: Signature, parts: readonly OutputPart[]): Record<string, TensorData> {
  const ordered = [...parts].sort((a, b) => a.start - b.start);
  const names = Object.keys(signature.outputs);
  return Object.fromEntries(names.map((name) => [name, join(name, ordered)]));
}

function join(name: string, parts: readonly OutputPart[]): TensorData {
  const tensors = parts.flatMap(({ outputs }) => outputs[name] ?? []);
  const [first, ...others] = tensors;
  if (first === undefined || tensors.length < parts.length) {
    throw new MeshError('INTERNAL', `a part of output "${name}" is missing`);
  }
  if (others.length === 0) return first;
  for (const other of others) {
    if (other.dtype === first.dtype && isSameShape(other.shape.slice(1), first.shape.slice(1))) continue;
    const found = [first, other].map(({ dtype, shape }) => `${dtype} [${shape.join(',')}]`);
    throw new MeshError('EXECUTION_FAILED', `parts of output "${name}" do not fit each other: ${found.join(' and ')}`);
  }
  const rows = tensors.reduce((sum, tensor) => sum + (tensor.shape[0] ?? 0), 0);
  return { dtype: first.dtype, shape: [rows, ...first.shape.slice(1)], data: concatenate(first.data, tensors) };
}

const isSameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

/** Data of the first tensor's kind; their shapes agree but for the first dimension. */
function concatenate(first: TensorValues, tensors: readonly TensorData[]): TensorValues {
  if (!ArrayBuffer.isView(first)) return tensors.flatMap((tensor) => [...(tensor.data as readonly string[])]);
  const Values = first.constructor as { new (length: number): Float32Array };
  const data = new Values(tensors.reduce((sum, tensor) => sum + tensor.data.length, 0));
  let offset = 0;
  for (const tensor of tensors) {
    data.set(tensor.data as Float32Array, offset);
    offset += tensor.data.length;
  }
  return data;
}
