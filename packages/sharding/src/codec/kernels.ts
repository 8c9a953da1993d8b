/**
 * The inner loops of the codecs as a port. `REFERENCE_KERNELS` is the plain meaning of each; accelerated ones (WebAssembly,
 * say) give the same bits, so what one side encodes with any of them the other decodes with any other.
 */
import { joinFloats, splitFloats } from './float-parts.ts';
import { packIntegers, unpackIntegers } from './outliers.ts';
import { unpackBits } from './pack.ts';
import { decodePalette, encodePalette } from './palette.ts';
import { dequantize, quantize } from './quantize.ts';
import { decodeRans, encodeRans } from './rans.ts';

export interface CodecKernels {
  readonly quantize: typeof quantize;
  readonly dequantize: typeof dequantize;
  readonly packIntegers: typeof packIntegers;
  readonly unpackIntegers: typeof unpackIntegers;
  readonly unpackBits: typeof unpackBits;
  readonly encodeRans: typeof encodeRans;
  readonly decodeRans: typeof decodeRans;
  readonly splitFloats: typeof splitFloats;
  readonly joinFloats: typeof joinFloats;
  readonly encodePalette: typeof encodePalette;
  readonly decodePalette: typeof decodePalette;
}

export const REFERENCE_KERNELS: CodecKernels = {
  quantize,
  dequantize,
  packIntegers,
  unpackIntegers,
  unpackBits,
  encodeRans,
  decodeRans,
  splitFloats,
  joinFloats,
  encodePalette,
  decodePalette,
};
