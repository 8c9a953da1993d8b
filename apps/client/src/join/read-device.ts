/** Reads what the browser tells of the device. Nothing is downloaded, and nothing leaves the page. */
import type { DeviceFacts } from './fit.ts';

/** APIs that not every browser has, or not every type library knows. */
interface PartialNavigator {
  readonly gpu?: {
    requestAdapter(): Promise<{
      readonly info?: { readonly vendor: string; readonly architecture: string; readonly isFallbackAdapter?: boolean };
      readonly isFallbackAdapter?: boolean;
    } | null>;
  };
  readonly deviceMemory?: number;
  readonly connection?: { readonly saveData?: boolean; readonly type?: string };
  readonly userAgentData?: { readonly mobile: boolean };
  getBattery?(): Promise<{ readonly charging: boolean; readonly level: number }>;
}

/** A module whose one function uses a 128-bit vector: it validates where SIMD is there. */
// Magic and version; type () -> v128; a function of it; code: i32.const 0, i8x16.splat, i8x16.popcnt.
const SIMD_MODULE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

export async function readDevice(): Promise<DeviceFacts> {
  const browser: PartialNavigator = navigator;
  const [gpu, storage, battery] = await Promise.all([
    readGpu(browser),
    navigator.storage?.estimate?.().catch(() => null) ?? null,
    browser.getBattery?.().catch(() => null) ?? null,
  ]);
  const free = storage?.quota === undefined ? null : storage.quota - (storage.usage ?? 0);
  return {
    secureContext: isSecureContext,
    ...gpu,
    wasmSimd: typeof WebAssembly === 'object' && WebAssembly.validate(SIMD_MODULE),
    webRtc: typeof RTCPeerConnection === 'function',
    worker: typeof Worker === 'function',
    cores: navigator.hardwareConcurrency ?? null,
    memoryGiB: browser.deviceMemory ?? null,
    storageFreeBytes: free,
    battery: battery === null ? null : { charging: battery.charging, level: battery.level },
    saveData: browser.connection?.saveData === true,
    cellular: browser.connection?.type === 'cellular',
    phoneLike: browser.userAgentData?.mobile ?? /iPhone|iPad|Android/.test(navigator.userAgent),
  };
}

async function readGpu({ gpu }: PartialNavigator): Promise<Pick<DeviceFacts, 'gpu' | 'gpuName'>> {
  if (gpu === undefined) return { gpu: 'no-api', gpuName: '' };
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (adapter === null) return { gpu: 'no-adapter', gpuName: '' };
  const gpuName = [adapter.info?.vendor, adapter.info?.architecture].filter(Boolean).join(' ');
  const emulated =
    adapter.info?.isFallbackAdapter === true ||
    adapter.isFallbackAdapter === true ||
    /swiftshader|llvmpipe/.test(gpuName);
  return { gpu: emulated ? 'software' : 'yes', gpuName };
}
