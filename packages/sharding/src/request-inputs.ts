/** A caller's input, checked against the signature before anything is sent, and cut into rows. */
import { newRoom, type Room } from '@shoal/base';
import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  MeshError,
  TENSOR_RANK_MAX,
  type DType,
  type ModelInfo,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
  type TensorValues,
} from '@shoal/protocol';

/** Room that one message leaves for a palette's table and a little more. */
const MESSAGE_SLACK_BYTES = 64 * 1024;
/** The wire writes a dimension in 31 bits. */
const DIMENSION_MAX = 0x7fff_ffff;
const BYTES_PER_ELEMENT = { float32: 4, int32: 4, bool: 1, string: 4 } as const;
const DATA_OF = {
  float32: 'Float32Array',
  int32: 'Int32Array',
  bool: 'Uint8Array',
  string: 'array of strings',
} as const;

/** A checked request: what to send, and how it may be cut. */
export interface CheckedInputs {
  readonly tensors: NamedTensors;
  /** Size of the batch dimension; 1 for a request that stays whole. */
  readonly rows: number;
  readonly splittable: boolean;
  /** Most rows that one message can carry, at least 1. */
  readonly rowsMax: number;
}

/** @throws MeshError SIGNATURE_NOT_FOUND */
export function signatureOf(info: ModelInfo, name: string): Signature {
  const signature = Object.hasOwn(info.signatures, name) ? info.signatures[name] : undefined;
  if (signature !== undefined) return signature;
  const known = Object.keys(info.signatures).join(', ');
  throw new MeshError('SIGNATURE_NOT_FOUND', `model ${info.model} has no signature "${name}", it has: ${known}`);
}

/** What is known of a tensor before it is decoded. */
type TensorKind = Pick<TensorData, 'dtype' | 'shape'>;

/**
 * Checks names, dtypes and shapes.
 * @returns the size of the batch dimension, 1 for a request that stays whole, and whether it may be cut
 * @throws MeshError BAD_INPUT that names the input and the limit
 */
export function checkInputKinds(
  info: Pick<ModelInfo, 'rowsIndependent'>,
  signature: Signature,
  tensors: Readonly<Record<string, TensorKind>>,
): Pick<CheckedInputs, 'rows' | 'splittable'> {
  for (const name of Object.keys(tensors)) {
    if (!Object.hasOwn(signature.inputs, name)) {
      const known = Object.keys(signature.inputs).join(', ');
      throw new MeshError('BAD_INPUT', `input "${name}" is not one of the model's: ${known}`);
    }
  }
  for (const [name, spec] of Object.entries(signature.inputs)) {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (tensor === undefined) throw new MeshError('BAD_INPUT', `input "${name}" is missing`);
    checkKind(name, tensor, spec);
  }
  const firstDimensions = new Set(Object.values(tensors).map((tensor) => tensor.shape[0]));
  const [rows] = firstDimensions;
  const splittable = info.rowsIndependent && firstDimensions.size === 1 && rows !== undefined && rows > 0;
  if (info.rowsIndependent && firstDimensions.size > 1) {
    const sizes = Object.entries(tensors).map(([name, tensor]) => `${name}: ${tensor.shape[0] ?? 'scalar'}`);
    throw new MeshError('BAD_INPUT', `inputs differ in their batch size: ${sizes.join(', ')}`);
  }
  return { rows: splittable ? rows : 1, splittable };
}

/**
 * Checks names, dtypes, shapes and sizes.
 * @throws MeshError BAD_INPUT or TOO_LARGE that names the input and the limit
 */
export function checkInputs(info: ModelInfo, signature: Signature, tensors: NamedTensors): CheckedInputs {
  const { rows: parts, splittable } = checkInputKinds(info, signature, tensors);
  for (const [name, tensor] of Object.entries(tensors)) checkData(name, tensor);
  const bytesMax = DATA_MESSAGE_BYTES_MAX - MESSAGE_SLACK_BYTES;
  const rowBytes = Object.values(tensors).reduce((sum, tensor) => sum + partBytesMax(tensor, parts), 0);
  if (rowBytes > bytesMax) {
    const what = splittable ? 'one row of the inputs has' : 'the inputs have';
    throw new MeshError('TOO_LARGE', `${what} ${rowBytes} bytes, limit ${bytesMax} bytes`);
  }
  // The answer is one message as well.
  const messageRowBytes = Math.max(1, rowBytes, splittable ? outputRowBytes(signature) : 0);
  const rowsMax = Math.max(1, Math.floor(bytesMax / messageRowBytes));
  return { tensors, rows: parts, splittable, rowsMax };
}

const badInput = (name: string, what: string): MeshError => new MeshError('BAD_INPUT', `input "${name}": ${what}`);

function checkKind(name: string, { dtype, shape }: TensorKind, spec: TensorSpec): void {
  const bad = (what: string): MeshError => badInput(name, what);
  if (dtype !== spec.dtype) throw bad(`dtype is ${dtype}, expected ${spec.dtype}`);
  if (spec.shape !== null && !fits(shape, spec.shape)) {
    throw bad(`shape is [${shape.join(',')}], expected [${spec.shape.join(',')}]`);
  }
  if (shape.length > TENSOR_RANK_MAX) throw bad(`rank is ${shape.length}, limit ${TENSOR_RANK_MAX}`);
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0 || size > DIMENSION_MAX) {
      throw bad(`shape has a dimension of ${size}, limit a whole number up to ${DIMENSION_MAX}`);
    }
  }
}

function checkData(name: string, { dtype, shape, data }: TensorData): void {
  if (!isDataOf(dtype, data)) throw badInput(name, `data is no ${DATA_OF[dtype]}, as dtype ${dtype} needs`);
  const elements = elementCount(shape);
  if (data.length !== elements) {
    throw badInput(name, `data has ${data.length} elements, shape [${shape.join(',')}] needs ${elements}`);
  }
}

/** Typed data is known by its tag, which is the same for arrays of another frame or thread. */
function isDataOf(dtype: DType, data: unknown): boolean {
  if (dtype === 'string') return Array.isArray(data) && data.every((text) => typeof text === 'string');
  return ArrayBuffer.isView(data) && Object.prototype.toString.call(data) === `[object ${DATA_OF[dtype]}]`;
}

const fits = (shape: readonly number[], expected: readonly number[]): boolean =>
  shape.length === expected.length && expected.every((size, i) => size === -1 || size === shape[i]);

/** Bytes of the largest of so many equal parts of a tensor's elements, in the largest encoding it may travel in. */
function partBytesMax({ data }: TensorData, parts: number): number {
  if (ArrayBuffer.isView(data)) return data.byteLength / parts;
  const partElements = data.length / parts;
  let most = 0;
  for (let start = 0; start < data.length; start += partElements) {
    let bytes = 0;
    // UTF-8 takes at most three bytes per UTF-16 unit.
    for (let i = start; i < start + partElements; i++) bytes += 4 + 3 * (data[i] ?? '').length;
    most = Math.max(most, bytes);
  }
  return most;
}

/** Bytes that a row of the outputs takes at least, as far as their shapes are known. */
function outputRowBytes({ outputs }: Signature): number {
  let bytes = 0;
  for (const { shape, dtype } of Object.values(outputs)) {
    const row = shape?.slice(1);
    if (row?.every((size) => size >= 0) === true) bytes += elementCount(row) * BYTES_PER_ELEMENT[dtype];
  }
  return bytes;
}

/** Rows `[start, end)` of a tensor along its first dimension; typed data is a view. */
export function rowsOf(tensor: TensorData, start: number, end: number): TensorData {
  const [rows = 1, ...rest] = tensor.shape;
  if (start === 0 && end === rows) return tensor;
  const rowElements = elementCount(rest);
  const data = ArrayBuffer.isView(tensor.data)
    ? tensor.data.subarray(start * rowElements, end * rowElements)
    : tensor.data.slice(start * rowElements, end * rowElements);
  return { dtype: tensor.dtype, shape: [end - start, ...rest], data };
}

/**
 * Rows of several tensors of one kind, one after another; sizes after the first agree.
 * @param room memory for them, where they are numbers; a single tensor needs none and is given back as it is
 */
export function joinRows(tensors: readonly TensorData[], room: Room = newRoom): TensorData {
  const [first, ...others] = tensors;
  if (first === undefined) throw new MeshError('INTERNAL', 'rows of no tensor');
  if (others.length === 0) return first;
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const shape = [rows, ...first.shape.slice(1)];
  return { dtype: first.dtype, shape, data: joinData(first.data, tensors, elementCount(shape), room) };
}

function joinData(first: TensorValues, tensors: readonly TensorData[], length: number, room: Room): TensorValues {
  if (!ArrayBuffer.isView(first)) return tensors.flatMap(({ data }) => [...(data as readonly string[])]);
  const Values = first.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => Float32Array;
  const { buffer, byteOffset } = room(length * first.BYTES_PER_ELEMENT);
  const joined = new Values(buffer, byteOffset, length);
  let at = 0;
  for (const { data } of tensors) {
    joined.set(data as Float32Array, at);
    at += data.length;
  }
  return joined;
}
