/** Judges whether this device suits the mesh, from what the browser tells without any download. */

/** What the browser says. `null`: it does not say, or has no such API. */
export interface DeviceFacts {
  readonly secureContext: boolean;
  /** `software` is a GPU that is emulated on the CPU. */
  readonly gpu: 'yes' | 'software' | 'no-adapter' | 'no-api';
  /** Vendor and architecture as the adapter names them, such as `apple metal-3`; empty where hidden. */
  readonly gpuName: string;
  readonly wasmSimd: boolean;
  readonly webRtc: boolean;
  readonly worker: boolean;
  readonly cores: number | null;
  /** Rounded down and capped at 8 by browsers. */
  readonly memoryGiB: number | null;
  readonly storageFreeBytes: number | null;
  readonly battery: { readonly charging: boolean; readonly level: number } | null;
  /** The user asked sites to save data. */
  readonly saveData: boolean;
  readonly cellular: boolean;
  readonly phoneLike: boolean;
}

export type FitLevel = 'good' | 'caution' | 'missing';
export type FitTopic = 'gpu' | 'wasm' | 'webrtc' | 'cores' | 'memory' | 'storage' | 'power' | 'network' | 'phone';

/** One line of the check. `finding` picks the sentence; the facts fill it in. */
export interface FitItem {
  readonly topic: FitTopic;
  readonly level: FitLevel;
  readonly finding: FitFinding;
}

export type FitFinding =
  | 'gpu-yes'
  | 'gpu-software'
  | 'gpu-no-adapter'
  | 'gpu-no-api'
  | 'gpu-insecure'
  | 'wasm-yes'
  | 'wasm-no'
  | 'webrtc-yes'
  | 'webrtc-no'
  | 'cores'
  | 'memory'
  | 'memory-small'
  | 'storage'
  | 'storage-small'
  | 'storage-insecure'
  | 'power-mains'
  | 'power-battery'
  | 'network-saving'
  | 'network-cellular'
  | 'phone';

export interface MeshModelSummary {
  readonly model: string;
  readonly version: number;
  readonly weightBytes: number;
}

export interface FitVerdict {
  /** `good`: may start. `caution`: may start, with something to know. `missing`: cannot compute here. */
  readonly level: FitLevel;
  readonly items: readonly FitItem[];
  /** Models whose weights fit this device's memory, smallest first. */
  readonly models: readonly MeshModelSummary[];
  /** Weights of all of them together: the most that is downloaded. */
  readonly downloadBytesMax: number;
}

const GIB = 1024 ** 3;

/** A model needs about this many times its weights: weights as f32, activations and the runtime. */
const MEMORY_PER_WEIGHT = 8;
/** Of the device's memory, a tab may well take this share. */
const TAB_MEMORY_SHARE = 0.25;

/** The verdict. Topics keep one order, so that the list does not jump when a fact changes. */
export function judgeFit(facts: DeviceFacts, models: readonly MeshModelSummary[]): FitVerdict {
  const items = [...computeItems(facts), ...resourceItems(facts)];
  const cannot = !facts.webRtc || !facts.worker || (!facts.wasmSimd && facts.gpu !== 'yes');
  const level = cannot ? 'missing' : items.some((item) => item.level !== 'good') ? 'caution' : 'good';
  const budgetBytes = facts.memoryGiB === null ? Number.POSITIVE_INFINITY : facts.memoryGiB * GIB * TAB_MEMORY_SHARE;
  const fitting = models
    .filter((model) => model.weightBytes * MEMORY_PER_WEIGHT <= budgetBytes)
    .toSorted((a, b) => a.weightBytes - b.weightBytes);
  return {
    level,
    items,
    models: fitting,
    downloadBytesMax: fitting.reduce((sum, model) => sum + model.weightBytes, 0),
  };
}

function computeItems(facts: DeviceFacts): FitItem[] {
  return [
    gpuItem(facts),
    facts.wasmSimd
      ? { topic: 'wasm', level: 'good', finding: 'wasm-yes' }
      : { topic: 'wasm', level: 'missing', finding: 'wasm-no' },
    facts.webRtc && facts.worker
      ? { topic: 'webrtc', level: 'good', finding: 'webrtc-yes' }
      : { topic: 'webrtc', level: 'missing', finding: 'webrtc-no' },
  ];
}

function gpuItem(facts: DeviceFacts): FitItem {
  if (facts.gpu === 'yes') return { topic: 'gpu', level: 'good', finding: 'gpu-yes' };
  if (facts.gpu === 'software') return { topic: 'gpu', level: 'caution', finding: 'gpu-software' };
  if (!facts.secureContext) return { topic: 'gpu', level: 'caution', finding: 'gpu-insecure' };
  return {
    topic: 'gpu',
    level: 'caution',
    finding: facts.gpu === 'no-api' ? 'gpu-no-api' : 'gpu-no-adapter',
  };
}

const STORAGE_SMALL_BYTES = 200 * 1024 ** 2;

function resourceItems(facts: DeviceFacts): FitItem[] {
  const items: FitItem[] = [];
  if (facts.cores !== null) items.push({ topic: 'cores', level: 'good', finding: 'cores' });
  if (facts.memoryGiB !== null) {
    const small = facts.memoryGiB < 2;
    items.push({
      topic: 'memory',
      level: small ? 'caution' : 'good',
      finding: small ? 'memory-small' : 'memory',
    });
  }
  if (facts.storageFreeBytes !== null) {
    const small = facts.storageFreeBytes < STORAGE_SMALL_BYTES;
    items.push({
      topic: 'storage',
      level: small ? 'caution' : 'good',
      finding: small ? 'storage-small' : 'storage',
    });
  } else if (!facts.secureContext) {
    items.push({ topic: 'storage', level: 'caution', finding: 'storage-insecure' });
  }
  if (facts.battery !== null) {
    items.push(
      facts.battery.charging
        ? { topic: 'power', level: 'good', finding: 'power-mains' }
        : { topic: 'power', level: 'caution', finding: 'power-battery' },
    );
  }
  if (facts.saveData) items.push({ topic: 'network', level: 'caution', finding: 'network-saving' });
  else if (facts.cellular) items.push({ topic: 'network', level: 'caution', finding: 'network-cellular' });
  if (facts.phoneLike) items.push({ topic: 'phone', level: 'caution', finding: 'phone' });
  return items;
}
