// Inner loops of the codecs (packages/sharding/src/codec) in AssemblyScript, for WebAssembly with SIMD. Each is the
// function of the same name there, to the bit, or a part of it; what it means is said there. Built by `npm run build:kernels`.
//
// Memory is the caller's: pointers in, nothing allocated. Arrays that are read or written 16 bytes at a time have room behind
// them for as much as that takes.
export * from './quantize';
export * from './pack';
export * from './rans-encode';
export * from './rans-decode';
export * from './floats';
export * from './palette';

/** Where the caller's memory begins. */
export function memoryBase(): usize {
  return __heap_base;
}
