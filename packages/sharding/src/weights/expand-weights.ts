/** What TensorFlow.js cannot read of a weight manifest, written out as float32 before it sees it. */
import { joinBytes } from '@shoal/base';
import { elementCount } from '@shoal/protocol';
import { STORED_BYTES } from '../graph/weights-manifest.ts';
import type { ChannelQuantization, StoredWeight } from '../manifest.ts';
import { expandChannels } from './quantize-weight.ts';

/** An entry of a model.json's weightsManifest. */
export type WeightEntry = Pick<StoredWeight, 'name' | 'dtype' | 'shape' | 'quantization'>;

export interface ExpandedWeights {
  readonly entries: readonly WeightEntry[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Entries with one scale a channel become plain float32; all others keep their bytes. The very same objects come back
 * where there is none of the kind.
 * @param bytes the weights one after another, in the order of `entries`
 * @throws RangeError if `bytes` end before the entries do
 */
export function expandWeights(entries: readonly WeightEntry[], bytes: Uint8Array<ArrayBuffer>): ExpandedWeights {
  if (!entries.some((entry) => channelsOfEntry(entry) !== undefined)) return { entries, bytes };
  const pieces: Uint8Array[] = [];
  const expanded: WeightEntry[] = [];
  let offset = 0;
  for (const entry of entries) {
    const length = storedBytes(entry, bytes, offset);
    if (offset + length > bytes.length) throw new RangeError(`the weight bytes end inside "${entry.name}"`);
    const piece = bytes.subarray(offset, offset + length);
    const quantization = channelsOfEntry(entry);
    offset += length;
    if (quantization === undefined) {
      pieces.push(piece);
      expanded.push(entry);
      continue;
    }
    const values = expandChannels(integersOf(piece, quantization.dtype), entry.shape, quantization);
    pieces.push(new Uint8Array(values.buffer));
    expanded.push({ name: entry.name, dtype: entry.dtype, shape: entry.shape });
  }
  return { entries: expanded, bytes: joinBytes(pieces) };
}

const channelsOfEntry = ({ quantization }: WeightEntry): ChannelQuantization | undefined =>
  quantization !== undefined && 'axis' in quantization ? quantization : undefined;

function storedBytes({ dtype, shape, quantization }: WeightEntry, bytes: Uint8Array, offset: number): number {
  const elements = elementCount(shape);
  if (dtype !== 'string') return elements * STORED_BYTES[quantization?.dtype ?? dtype];
  // Each string is preceded by its length as a little-endian uint32 (tfjs-core io_utils).
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let length = 0;
  for (let i = 0; i < elements; i++) length += 4 + view.getUint32(offset + length, true);
  return length;
}

/** A copy, since a uint16 view must begin at an even byte. */
function integersOf(piece: Uint8Array, dtype: 'uint8' | 'uint16'): Uint8Array | Uint16Array {
  return dtype === 'uint8' ? piece : new Uint16Array(piece.slice().buffer);
}
