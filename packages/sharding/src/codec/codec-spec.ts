/** How activations of a link are to be written, and the short text by which configuration, metrics and pages name it. */

/** Bits of a quantized element. */
export const INT_BITS = [8, 7, 6, 5, 4, 3, 2] as const;
export type IntBits = (typeof INT_BITS)[number];

/**
 * - `f32`: elements as they are.
 * - `exact`: lossless, smaller than f32 where the data allow.
 * - `f16`: float32 rounded to half precision.
 * - `int`: float32 rounded to so many bits with a scale per group; with `entropy` the integers are entropy coded,
 *   else packed.
 *
 * Every codec carries int32, bool and string tensors without loss.
 */
export type CodecSpec =
  | { readonly kind: 'f32' | 'exact' | 'f16' }
  | { readonly kind: 'int'; readonly bits: IntBits; readonly entropy: boolean };

/** `f32`, `exact`, `f16`, `int8`, `int6+rans`, … */
export function codecName(spec: CodecSpec): string {
  return spec.kind === 'int' ? `int${spec.bits}${spec.entropy ? '+rans' : ''}` : spec.kind;
}

/** Every codec by its name, the most faithful first. */
export const CODECS: ReadonlyMap<string, CodecSpec> = new Map(
  [
    { kind: 'f32' } as const,
    { kind: 'exact' } as const,
    { kind: 'f16' } as const,
    ...INT_BITS.flatMap((bits) => [false, true].map((entropy) => ({ kind: 'int', bits, entropy }) as const)),
  ].map((spec) => [codecName(spec), spec]),
);
