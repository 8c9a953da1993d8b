/**
 * A block of bytes, entropy coded with its model:
 *
 *   [ u8 alphabet - 1 ][ u8 contexts ][ u16 table bytes ][ table ][ states and words, see rans.ts ]
 *
 * The table holds, as bits, where contexts after the first begin (Elias gamma of the differences of `around`), then each
 * context's weights (frequencies.ts).
 */
import { BitReader, BitWriter } from './bits.ts';
import { CONTEXTS_MAX, joinRanges, rangeBegins } from './contexts.ts';
import { frequenciesOf, readWeights, weightsOf, writeWeights } from './frequencies.ts';
import type { CodecKernels } from './kernels.ts';
import { corrupt, PayloadReader, PayloadWriter } from './payload.ts';
import { aroundMax, rangeByAround, type Neighbours } from './rans.ts';

export function encodeSymbols(symbols: Uint8Array, neighbours: Neighbours, kernels: CodecKernels): PayloadWriter {
  const writer = new PayloadWriter();
  let begins: readonly number[] = [];
  const code = kernels.encodeRans(symbols, neighbours, {
    rangesFor: (sampled, alphabet) => {
      begins = rangeBegins(sampled, symbols.length, alphabet);
      return begins;
    },
    frequenciesFor: (counts, alphabet) => {
      const contexts = joinRanges(counts, alphabet);
      const weights = contexts.map((context) => weightsOf(context.counts));
      const bits = new BitWriter();
      const contextBegins = contexts.map(({ range }) => begins[range] as number);
      for (let i = 1; i < contexts.length; i++)
        bits.gamma((contextBegins[i] as number) - (contextBegins[i - 1] as number));
      for (const own of weights) writeWeights(bits, own);
      const table = bits.done();
      writer
        .u8(alphabet - 1)
        .u8(contexts.length)
        .i16(table.length)
        .bytes(table);
      const frequencies = new Uint16Array(counts.length);
      for (const [i, { range }] of contexts.entries()) {
        const own = frequenciesOf(weights[i] as Uint16Array);
        const end = contexts[i + 1]?.range ?? begins.length;
        for (let same = range; same < end; same++) frequencies.set(own, same * alphabet);
      }
      return frequencies;
    },
  });
  return writer.bytes(code);
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
  const begins = [0];
  while (begins.length < contexts) {
    const begin = (begins.at(-1) ?? 0) + bits.gamma();
    if (begin > aroundMax(alphabet)) throw corrupt(`context begins at ${begin}, limit ${aroundMax(alphabet)}`);
    begins.push(begin);
  }
  const frequencies = new Uint16Array(contexts * alphabet);
  for (let context = 0; context < contexts; context++) {
    frequencies.set(frequenciesOf(readWeights(bits, alphabet)), context * alphabet);
  }
  bits.end();
  const contextOf = rangeByAround(begins);
  return kernels.decodeRans(reader.rest(), count, { ...neighbours, alphabet, contextOf, frequencies });
}
