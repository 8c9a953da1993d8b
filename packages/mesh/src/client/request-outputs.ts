/** Microbatches' outputs, checked and put together in the order of the request's rows. */
import {
  elementCount,
  MeshError,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorValues,
} from '@shoal/protocol';

/** Outputs of rows `[start, end)`. */
export interface OutputPart {
  readonly start: number;
  readonly end: number;
  readonly outputs: NamedTensors;
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

/** Joins parts along the batch dimension. The parts cover the request's rows without gap or overlap. */
export function joinOutputs(signature: Signature, parts: readonly OutputPart[]): Record<string, TensorData> {
  const ordered = [...parts].sort((a, b) => a.start - b.start);
  const names = Object.keys(signature.outputs);
  return Object.fromEntries(names.map((name) => [name, join(name, ordered)]));
}

function join(name: string, parts: readonly OutputPart[]): TensorData {
  const tensors = parts.map((part) => part.outputs[name]).filter((tensor) => tensor !== undefined);
  const [first] = tensors;
  if (first === undefined) throw new MeshError('INTERNAL', `no part has output "${name}"`);
  if (tensors.length === 1) return first;
  const rows = tensors.reduce((sum, tensor) => sum + (tensor.shape[0] ?? 0), 0);
  const shape = [rows, ...first.shape.slice(1)];
  return { dtype: first.dtype, shape, data: concatenate(name, tensors, elementCount(shape)) };
}

function concatenate(name: string, tensors: readonly TensorData[], elements: number): TensorValues {
  const [first] = tensors;
  if (first === undefined || !ArrayBuffer.isView(first.data)) {
    return tensors.flatMap((tensor) => [...(tensor.data as readonly string[])]);
  }
  const Values = first.data.constructor as { new (length: number): Float32Array };
  const data = new Values(elements);
  let offset = 0;
  for (const tensor of tensors) {
    if (offset + tensor.data.length > elements) {
      throw new MeshError('EXECUTION_FAILED', `parts of output "${name}" differ in shape`);
    }
    data.set(tensor.data as Float32Array, offset);
    offset += tensor.data.length;
  }
  return data;
}
