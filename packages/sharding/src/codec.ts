/**
 * How inputs and outputs are written on the wire; activations may go `coded` (codec/coded-tensor.ts). Both encodings here are
 * lossless:
 *
 * - `raw`: elements row-major, float32 and int32 little-endian, bool one byte each; a string as a u32 length and UTF-8.
 * - `palette8`: a float32 tensor with at most 256 distinct values (a picture's pixels, say), as
 *   [ u32 count ][ one byte an element, an index ][ count x float32 values, in order of appearance ]:
 *   a quarter of the bytes, bit for bit the same. NaN keeps its bits.
 */
import {
  DATA_MESSAGE_BYTES_MAX,
  elementCount,
  MeshError,
  type EncodedTensor,
  type TensorData,
  type TensorHeader,
} from '@shoal/protocol';

const PALETTE_MAX = 256;
/** Below this many elements the palette itself weighs too much. */
const PALETTE_ELEMENTS_MIN = 1024;
const BYTES_PER_ELEMENT = { float32: 4, int32: 4, bool: 1 } as const;

/** Encodes by the smallest encoding that loses nothing. `data` may be a view of the tensor's own memory. */
export function encodeTensor(name: string, tensor: TensorData): EncodedTensor {
  const palette = tensor.dtype === 'float32' ? encodePalette(tensor.data as Float32Array) : undefined;
  if (palette === undefined) return encodeRawTensor(name, tensor);
  const { dtype, shape } = tensor;
  return { header: { name, dtype, shape: [...shape], encoding: 'palette8', bytes: palette.length }, data: palette };
}

/** Encodes elements as they are. `data` may be a view of the tensor's own memory. */
export function encodeRawTensor(name: string, tensor: TensorData): EncodedTensor {
  const data = encodeRaw(tensor);
  const { dtype, shape } = tensor;
  return { header: { name, dtype, shape: [...shape], encoding: 'raw', bytes: data.length }, data };
}

/**
 * Decodes; the result owns its memory, which is that of `data` where `data` fills its buffer.
 * @throws MeshError BAD_FRAME that names the tensor and the sizes at odds
 */
export function decodePlainTensor({ header, data }: EncodedTensor): TensorData {
  const elements = elementCount(header.shape);
  if (!Number.isSafeInteger(elements) || elements > DATA_MESSAGE_BYTES_MAX) {
    throw bad(header, `${elements} elements, limit ${DATA_MESSAGE_BYTES_MAX}`);
  }
  const { dtype, shape } = header;
  if (header.encoding === 'palette8') {
    if (dtype !== 'float32') throw bad(header, `encoding palette8 of ${dtype}, expected float32`);
    return { dtype, shape, data: decodePalette(header, data, elements) };
  }
  if (dtype === 'string') return { dtype, shape, data: decodeStrings(header, data, elements) };
  const bytes = elements * BYTES_PER_ELEMENT[dtype];
  if (data.length !== bytes) throw bad(header, `${data.length} bytes, shape and dtype need ${bytes}`);
  // A view of a message would keep all of that alive, and its elements need not be aligned.
  const { buffer } = data.length === data.buffer.byteLength ? data : data.slice();
  if (dtype === 'bool') return { dtype, shape, data: new Uint8Array(buffer) };
  return { dtype, shape, data: dtype === 'float32' ? new Float32Array(buffer) : new Int32Array(buffer) };
}

const bad = (header: TensorHeader, what: string): MeshError =>
  new MeshError('BAD_FRAME', `tensor "${header.name}": ${what}`);

function encodeRaw(tensor: TensorData): Uint8Array {
  const { data } = tensor;
  if (tensor.dtype === 'string') return encodeStrings(data as readonly string[]);
  const array = data as Float32Array | Int32Array | Uint8Array;
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The palette encoding, or nothing when the tensor has too few elements or too many values. */
function encodePalette(values: Float32Array): Uint8Array | undefined {
  if (values.length < PALETTE_ELEMENTS_MIN) return undefined;
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  // Open addressing over twice the palette's room; slot holds index + 1.
  const slots = new Uint16Array(4 * PALETTE_MAX);
  const palette = new Int32Array(PALETTE_MAX);
  // Written in place: a second buffer of a picture's size would cost more in collection than in copying.
  const bytes = new Uint8Array(4 + values.length + 4 * PALETTE_MAX);
  const indices = bytes.subarray(4, 4 + values.length);
  let count = 0;
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] as number;
    let slot = Math.imul(value, 0x9e3779b1) >>> 22;
    for (;;) {
      const entry = slots[slot] as number;
      if (entry === 0) {
        if (count === PALETTE_MAX) return undefined;
        palette[count++] = value;
        slots[slot] = count;
        indices[i] = count - 1;
        break;
      }
      if (palette[entry - 1] === value) {
        indices[i] = entry - 1;
        break;
      }
      slot = (slot + 1) & (4 * PALETTE_MAX - 1);
    }
  }
  new DataView(bytes.buffer).setUint32(0, count, true);
  bytes.set(new Uint8Array(palette.buffer, 0, 4 * count), 4 + values.length);
  return bytes.subarray(0, 4 + values.length + 4 * count);
}

function decodePalette(header: TensorHeader, data: Uint8Array, elements: number): Float32Array {
  const count = data.length < 4 ? 0 : new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  if (count > PALETTE_MAX || data.length !== 4 + 4 * count + elements) {
    throw bad(
      header,
      `${data.length} bytes, a palette of ${count} and ${elements} elements need ${4 + 4 * count + elements}`,
    );
  }
  const palette = new Int32Array(data.slice(4 + elements).buffer);
  const indices = data.subarray(4, 4 + elements);
  const bits = new Int32Array(elements);
  for (let i = 0; i < elements; i++) {
    const index = indices[i] as number;
    if (index >= count) throw bad(header, `element ${i} has palette index ${index}, limit ${count - 1}`);
    bits[i] = palette[index] as number;
  }
  return new Float32Array(bits.buffer);
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

function decodeStrings(header: TensorHeader, data: Uint8Array, elements: number): string[] {
  if (elements * 4 > data.length) throw bad(header, `${data.length} bytes for ${elements} strings`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const strings: string[] = [];
  let offset = 0;
  for (let i = 0; i < elements; i++) {
    const length = offset + 4 <= data.length ? view.getUint32(offset, true) : Number.POSITIVE_INFINITY;
    if (offset + 4 + length > data.length) throw bad(header, `string ${i} ends beyond its ${data.length} bytes`);
    strings.push(decoder.decode(data.subarray(offset + 4, offset + 4 + length)));
    offset += 4 + length;
  }
  if (offset !== data.length) throw bad(header, `${data.length - offset} bytes too many`);
  return strings;
}
