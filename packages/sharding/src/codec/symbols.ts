/**
 * A block of bytes, entropy coded with its model:
 *
 *   [ u8 alphabet - 1 ][ u8 contexts ][ u16 table bytes ][ table ][ states and words, see rans.ts ]
 *
 * The table holds, as bits, where contexts after the first begin (Elias gamma of the differences of sums), then each context's
 * weights (frequencies.ts).
 */
import { BitReader, BitWriter } from './bits.ts';
import { chooseContexts, contextBySum, contextFrequencies, CONTEXTS_MAX } from './contexts.ts';
import { readWeights, weightsOf, writeWeights } from './frequencies.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, PayloadReader, PayloadWriter } from './payload.ts';
import type { Neighbours } from './rans.ts';

export function encodeSymbols(symbols: Uint8Array, neighbours: Neighbours, kernels: CodecKernels): Uint8Array {
  const alphabet = Math.max(neighbours.start, kernels.greatest(symbols)) + 1;
  const contexts = chooseContexts(kernels.countPairs(symbols, alphabet, neighbours));
  const [, ...begins] = contexts.map(({ begin }) => begin);
  const weights = contexts.map(({ counts }) => weightsOf(counts));
  const contextOf = contextBySum(begins, alphabet);
  const bits = new BitWriter();
  for (const [i, begin] of begins.entries()) bits.gamma(begin - (begins[i - 1] ?? 0));
  for (const own of weights) writeWeights(bits, own);
  const table = bits.done();
  const frequencies = contextFrequencies(weights, alphabet);
  return new PayloadWriter()
    .u8(alphabet - 1)
    .u8(weights.length)
    .i16(table.length)
    .bytes(table)
    .bytes(kernels.encodeRans(symbols, { ...neighbours, alphabet, contextOf, frequencies }))
    .done();
}

/**
 * @param count of symbols; the caller has checked that so many are allowed
 * @throws MeshError BAD_FRAME unless the block is exactly so many symbols
 */
export function decodeSymbols(
  block: Uint8Array,
  count: number,
  neighbours: Neighbours,
  kernels: CodecKernels,
): Uint8Array {
  const reader = new PayloadReader(block);
  const alphabet = reader.u8() + 1;
  const contexts = reader.u8();
  if (contexts < 1 || contexts > CONTEXTS_MAX) throw corrupt(`${contexts} contexts, limit 1 to ${CONTEXTS_MAX}`);
  if (neighbours.start >= alphabet) throw corrupt(`alphabet of ${alphabet} lacks symbol ${neighbours.start}`);
  const bits = new BitReader(reader.bytes(reader.i16() & 0xffff));
  const begins: number[] = [];
  for (let context = 1; context < contexts; context++) {
    const begin = (begins.at(-1) ?? 0) + bits.gamma();
    if (begin > 2 * alphabet - 2) throw corrupt(`context begins at ${begin}, limit ${2 * alphabet - 2}`);
    begins.push(begin);
  }
  const weights = Array.from({ length: contexts }, () => readWeights(bits, alphabet));
  bits.end();
  const contextOf = contextBySum(begins, alphabet);
  const frequencies = contextFrequencies(weights, alphabet);
  return kernels.decodeRans(reader.rest(), count, { ...neighbours, alphabet, contextOf, frequencies });
}
