/** The codecs' inner loops in WebAssembly, fetched when they are first needed: many clients send little. */
import type { CodecKernels } from '@shoal/sharding';

/** Rejects where they cannot be fetched, or the platform has no WebAssembly SIMD. */
export async function loadKernels(): Promise<CodecKernels> {
  const { loadWasmKernels } = await import('@shoal/sharding/wasm');
  return loadWasmKernels();
}
