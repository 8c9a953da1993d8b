/** Microbatches' outputs, checked and put together in the order of the request's rows. */
import { MeshError, type NamedTensors, type ResultMessage, type Signature, type TensorData } from '@shoal/protocol';
import { decodeTensor, joinRows, rowsOf } from '@shoal/sharding';

/** Rows `[start, end)` of a request. */
interface RowRange {
  readonly start: number;
  readonly end: number;
}

export interface OutputPart extends RowRange {
  readonly outputs: NamedTensors;
}

/**
 * Reads a node's answer for the parts of a microbatch, one after another; each gets memory of its own.
 * @throws MeshError EXECUTION_FAILED: one node's answer is broken, which is no reason to ask no other
 */
export function readOutputs(
  signature: Signature,
  parts: readonly RowRange[],
  splittable: boolean,
  { tensors }: ResultMessage,
  bodies: readonly Uint8Array[],
): OutputPart[] {
  try {
    const decoded = tensors.map((header, i) => {
      const data = bodies[i] ?? new Uint8Array(0);
      return [header.name, decodeTensor({ header, data })] as const;
    });
    const outputs = Object.fromEntries(decoded);
    const rows = parts.reduce((sum, { start, end }) => sum + end - start, 0);
    checkOutputs(signature, { start: 0, end: rows, outputs }, splittable);
    return parts.length === 1
      ? parts.map(({ start, end }) => ({ start, end, outputs }))
      : share(signature, parts, outputs);
  } catch (error) {
    throw new MeshError('EXECUTION_FAILED', MeshError.from(error).reason, { cause: error });
  }
}

function share(signature: Signature, parts: readonly RowRange[], outputs: NamedTensors): OutputPart[] {
  let at = 0;
  return parts.map(({ start, end }) => {
    const from = at;
    at += end - start;
    const own = Object.keys(signature.outputs).map((name) => {
      const { data, ...kind } = rowsOf(outputs[name] as TensorData, from, at);
      return [name, { ...kind, data: ArrayBuffer.isView(data) ? data.slice() : data }] as const;
    });
    return { start, end, outputs: Object.fromEntries(own) };
  });
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
  return joinRows(tensors);
}

const isSameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);
