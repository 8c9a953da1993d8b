/** Tensors of several requests as one, and its outputs as theirs. */
import { elementCount, MeshError, type NamedTensors, type TensorData, type TensorValues } from '@shoal/protocol';
import { joinRows, rowsOf } from '@shoal/mesh/inputs';

/**
 * What must agree for tensors to share a batch: the dimensions after the first, or only their number where tensors
 * are padded to the longest. Names and dtypes are the signature's.
 */
export function kindOf(tensors: NamedTensors, padsLengths: boolean): string {
  const names = Object.keys(tensors).sort();
  return names
    .map((name) => {
      const inner = tensors[name]?.shape.slice(1) ?? [];
      return padsLengths ? String(inner.length) : inner.join('x');
    })
    .join();
}

/**
 * Requests' rows one after another. Shapes are brought to the largest of each dimension, and rows to `paddedRows` by
 * repeating the first row of the last request, which is as valid as any.
 */
export function mergeInputs(parts: readonly NamedTensors[], paddedRows: number): NamedTensors {
  const [first] = parts;
  if (first === undefined) throw new MeshError('INTERNAL', 'a batch of nothing');
  const names = Object.keys(first);
  return Object.fromEntries(
    names.map((name) => [
      name,
      mergeOne(
        parts.map((part) => tensorOf(part, name)),
        paddedRows,
      ),
    ]),
  );
}

function tensorOf(part: NamedTensors, name: string): TensorData {
  const tensor = part[name];
  if (tensor === undefined) throw new MeshError('INTERNAL', `a part of input "${name}" is missing`);
  return tensor;
}

function mergeOne(tensors: readonly TensorData[], paddedRows: number): TensorData {
  const [first] = tensors;
  const last = tensors.at(-1);
  if (first === undefined || last === undefined) throw new MeshError('INTERNAL', 'a batch of nothing');
  const inner = first.shape.slice(1).map((_, axis) => Math.max(...tensors.map(({ shape }) => shape[axis + 1] ?? 0)));
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  if (tensors.length === 1 && rows === paddedRows) return first;
  const parts = tensors.map((tensor) => padded(tensor, inner));
  const filler = rows < paddedRows ? rowsOf(padded(last, inner), 0, 1) : null;
  return joinRows([...parts, ...(filler === null ? [] : new Array<TensorData>(paddedRows - rows).fill(filler))]);
}

/** Fills dimensions up to `inner`, with the tensor's own first element, as TensorFlow Serving does. */
function padded(tensor: TensorData, inner: readonly number[]): TensorData {
  const [rows = 0, ...own] = tensor.shape;
  if (own.every((size, axis) => size === inner[axis])) return tensor;
  const elements = rows * elementCount(inner);
  const filler = tensor.data[0] ?? (tensor.dtype === 'string' ? '' : 0);
  const data = emptyLike(tensor.data, elements);
  (data as { fill: (value: unknown) => unknown }).fill(filler);
  const last = own.at(-1) ?? 1;
  // Each innermost run of the tensor goes where its index lies in the larger shape.
  for (let from = 0; from < tensor.data.length; from += last) {
    let rest = from / last;
    let to = 0;
    let stride = inner.at(-1) ?? 1;
    for (let axis = own.length - 2; axis >= 0; axis--) {
      const size = own[axis] ?? 1;
      to += (rest % size) * stride;
      rest = Math.floor(rest / size);
      stride *= inner[axis] ?? 1;
    }
    copyInto(data, tensor.data, from, from + last, to + rest * stride);
  }
  return { dtype: tensor.dtype, shape: [rows, ...inner], data };
}

const emptyLike = (data: TensorValues, length: number): TensorValues =>
  ArrayBuffer.isView(data)
    ? new (data.constructor as { new (length: number): Float32Array })(length)
    : new Array<string>(length);

function copyInto(to: TensorValues, from: TensorValues, start: number, end: number, at: number): void {
  if (ArrayBuffer.isView(to) && ArrayBuffer.isView(from)) {
    (to as Float32Array).set((from as Float32Array).subarray(start, end), at);
    return;
  }
  for (let i = start; i < end; i++) (to as string[])[at + i - start] = from[i] as string;
}

/**
 * Rows `[start, end)` of every output.
 * @throws MeshError EXECUTION_FAILED where an output does not have the batch's rows
 */
export function sliceOutputs(outputs: NamedTensors, batchRows: number, start: number, end: number): NamedTensors {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => {
      if (tensor.shape[0] !== batchRows) {
        const found = tensor.shape[0] ?? 'no';
        throw new MeshError('EXECUTION_FAILED', `output "${name}" came with ${found} rows, the batch has ${batchRows}`);
      }
      return [name, rowsOf(tensor, start, end)];
    }),
  );
}

/** A task's outputs from those of its pieces, in order. */
export function joinPieces(pieces: readonly NamedTensors[]): NamedTensors {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const rows = pieces.reduce((sum, piece) => sum + (Object.values(piece)[0]?.shape[0] ?? 0), 0);
  return mergeInputs(pieces, rows);
}
