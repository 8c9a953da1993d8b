/**
 * Tensors on the wire as `raw`: elements row-major, float32 and int32 little-endian, bool one byte each; a string as a u32
 * length and UTF-8. What is worth more than that goes `coded` (coded-tensor.ts).
 */
import { DATA_MESSAGE_BYTES_MAX, elementCount, type EncodedTensor, type TensorData } from '@shoal/protocol';
import { corrupt } from './payload.ts';

const BYTES_PER_ELEMENT = { float32: 4, int32: 4, bool: 1 } as const;

/** Encodes elements as they are. `data` may be a view of the tensor's own memory. */
export function encodeRawTensor(name: string, tensor: TensorData): EncodedTensor {
  const data = encodeRaw(tensor);
  const { dtype, shape } = tensor;
  return { header: { name, dtype, shape: [...shape], encoding: 'raw', bytes: data.length }, data };
}

/**
 * Decodes; the result owns its memory, which is that of `data` where `data` fills its buffer.
 * @throws MeshError BAD_FRAME that names the sizes at odds
 */
export function decodeRawTensor({ header, data }: EncodedTensor): TensorData {
  const elements = elementCount(header.shape);
  if (!Number.isSafeInteger(elements) || elements > DATA_MESSAGE_BYTES_MAX) {
    throw corrupt(`${elements} elements, limit ${DATA_MESSAGE_BYTES_MAX}`);
  }
  const { dtype, shape } = header;
  if (dtype === 'string') return { dtype, shape, data: decodeStrings(data, elements) };
  const bytes = elements * BYTES_PER_ELEMENT[dtype];
  if (data.length !== bytes) throw corrupt(`${data.length} bytes, shape and dtype need ${bytes}`);
  // A view of a message would keep all of that alive, and its elements need not be aligned.
  const { buffer } = data.length === data.buffer.byteLength ? data : data.slice();
  if (dtype === 'bool') return { dtype, shape, data: new Uint8Array(buffer) };
  return { dtype, shape, data: dtype === 'float32' ? new Float32Array(buffer) : new Int32Array(buffer) };
}

function encodeRaw(tensor: TensorData): Uint8Array {
  const { data } = tensor;
  if (tensor.dtype === 'string') return encodeStrings(data as readonly string[]);
  const array = data as Float32Array | Int32Array | Uint8Array;
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function encodeStrings(strings: readonly string[]): Uint8Array {
  const texts = strings.map((text) => new TextEncoder().encode(text));
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const text of texts) {
    view.setUint32(offset, text.length, true);
    bytes.set(text, offset + 4);
    offset += 4 + text.length;
  }
  return bytes;
}

function decodeStrings(data: Uint8Array, elements: number): string[] {
  if (elements * 4 > data.length) throw corrupt(`${data.length} bytes for ${elements} strings`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const strings: string[] = [];
  let offset = 0;
  for (let i = 0; i < elements; i++) {
    const length = offset + 4 <= data.length ? view.getUint32(offset, true) : Number.POSITIVE_INFINITY;
    if (offset + 4 + length > data.length) throw corrupt(`string ${i} ends beyond its ${data.length} bytes`);
    strings.push(decoder.decode(data.subarray(offset + 4, offset + 4 + length)));
    offset += 4 + length;
  }
  if (offset !== data.length) throw corrupt(`${data.length - offset} bytes too many`);
  return strings;
}
