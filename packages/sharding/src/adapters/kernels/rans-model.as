// What encoder and decoder of rans.ts share.

export const PROBABILITY_BITS: u32 = 11;
export const FREQUENCY_SUM: u32 = 1 << PROBABILITY_BITS;
export const STATE_MIN: u32 = 1 << 16;

// @ts-ignore: decorator
@inline
export function aroundOf(left: usize, up: usize, shift: u32): u32 {
  return (<u32>load<u8>(left) + <u32>load<u8>(up) + shift) >>> shift;
}
