/** Float32 rounded to half precision: after the payload's two first bytes, u16 an element. */
import { elementCount } from '@shoal/protocol';
import { F16_MAX, fromF16, toF16 } from './f16.ts';
import { corrupt, type PayloadReader } from './payload.ts';

/** Nothing for tensors that halves cannot hold: a finite value would become infinite, or a NaN lose its payload. */
export function toHalves(values: Float32Array): Uint8Array | undefined {
  const bytes = new Uint8Array(2 * values.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    // A comparison with NaN is false.
    if (!(Math.abs(value) <= F16_MAX)) return undefined;
    view.setUint16(2 * i, toF16(value), true);
  }
  return bytes;
}

/** @throws MeshError BAD_FRAME */
export function readHalves(reader: PayloadReader, shape: readonly number[]): Float32Array {
  const elements = elementCount(shape);
  const bytes = reader.rest();
  if (bytes.length !== 2 * elements) throw corrupt(`${bytes.length} bytes for ${elements} halves`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(elements);
  for (let i = 0; i < elements; i++) values[i] = fromF16(view.getUint16(2 * i, true));
  return values;
}
