/** A caller's input, checked against the signature before anything is sent, and cut into rows. */
import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  MeshError,
  type ModelInfo,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
} from '@shoal/protocol';

/** Room that one message leaves for a palette's table and a little more. */
const MESSAGE_SLACK_BYTES = 64 * 1024;

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

/**
 * Checks names, dtypes, shapes and sizes.
 * @throws MeshError BAD_INPUT or TOO_LARGE that names the input and the limit
 */
export function checkInputs(info: ModelInfo, signature: Signature, tensors: NamedTensors): CheckedInputs {
  for (const name of Object.keys(tensors)) {
    if (!Object.hasOwn(signature.inputs, name)) {
      const known = Object.keys(signature.inputs).join(', ');
      throw new MeshError('BAD_INPUT', `input "${name}" is not one of the model's: ${known}`);
    }
  }
  for (const [name, spec] of Object.entries(signature.inputs)) {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (tensor === undefined) throw new MeshError('BAD_INPUT', `input "${name}" is missing`);
    checkTensor(name, tensor, spec);
  }
  const firstDimensions = new Set(Object.values(tensors).map((tensor) => tensor.shape[0]));
  const [rows] = firstDimensions;
  const splittable = info.rowsIndependent && firstDimensions.size === 1 && rows !== undefined && rows > 0;
  if (info.rowsIndependent && firstDimensions.size > 1) {
    const sizes = Object.entries(tensors).map(([name, tensor]) => `${name}: ${tensor.shape[0] ?? 'scalar'}`);
    throw new MeshError('BAD_INPUT', `inputs differ in their batch size: ${sizes.join(', ')}`);
  }
  const bytes = Object.values(tensors).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const bytesMax = DATA_MESSAGE_BYTES_MAX - MESSAGE_SLACK_BYTES;
  const rowBytes = splittable ? bytes / rows : bytes;
  if (rowBytes > bytesMax) {
    const what = splittable ? 'one row of the inputs has' : 'the inputs have';
    throw new MeshError('TOO_LARGE', `${what} ${Math.ceil(rowBytes)} bytes, limit ${bytesMax} bytes`);
  }
  return {
    tensors,
    rows: splittable ? rows : 1,
    splittable,
    rowsMax: rowBytes === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(bytesMax / rowBytes),
  };
}

function checkTensor(name: string, tensor: TensorData, spec: TensorSpec): void {
  if (tensor.dtype !== spec.dtype) {
    throw new MeshError('BAD_INPUT', `input "${name}": dtype is ${tensor.dtype}, expected ${spec.dtype}`);
  }
  if (spec.shape !== null && !fits(tensor.shape, spec.shape)) {
    throw new MeshError(
      'BAD_INPUT',
      `input "${name}": shape is [${tensor.shape.join(',')}], expected [${spec.shape.join(',')}]`,
    );
  }
  for (const size of tensor.shape) {
    if (!Number.isInteger(size) || size < 0)
      throw new MeshError('BAD_INPUT', `input "${name}": shape has a dimension of ${size}`);
  }
  const elements = elementCount(tensor.shape);
  if (tensor.data.length !== elements) {
    throw new MeshError(
      'BAD_INPUT',
      `input "${name}": data has ${tensor.data.length} elements, shape [${tensor.shape.join(',')}] needs ${elements}`,
    );
  }
}

const fits = (shape: readonly number[], expected: readonly number[]): boolean =>
  shape.length === expected.length && expected.every((size, i) => size === -1 || size === shape[i]);

/** Bytes of a tensor in the largest encoding it may travel in. */
function bytesOf(tensor: TensorData): number {
  if (ArrayBuffer.isView(tensor.data)) return tensor.data.byteLength;
  // UTF-8 takes at most three bytes per UTF-16 unit.
  return tensor.data.reduce((sum, text) => sum + 4 + 3 * text.length, 0);
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
