import { describe, expect, it } from 'vitest';
import { judgeFit, type DeviceFacts } from './fit.ts';

const LAPTOP: DeviceFacts = {
  secureContext: true,
  gpu: 'yes',
  gpuName: 'apple metal-3',
  wasmSimd: true,
  webRtc: true,
  worker: true,
  cores: 8,
  memoryGiB: 8,
  storageFreeBytes: 20 * 1024 ** 3,
  battery: { charging: true, level: 1 },
  saveData: false,
  cellular: false,
  phoneLike: false,
};

const MODELS = [
  { model: 'mobilenet_v2', version: 1, weightBytes: 2_600_000 },
  { model: 'half_plus_two', version: 1, weightBytes: 8 },
  { model: 'large', version: 1, weightBytes: 900_000_000 },
];

const findings = (facts: DeviceFacts): readonly string[] => judgeFit(facts, MODELS).items.map((item) => item.finding);

it('finds a laptop on mains good, and sums the download of the models that fit', () => {
  const verdict = judgeFit(LAPTOP, MODELS);
  expect(verdict.level).toBe('good');
  expect(verdict.models.map((model) => model.model)).toEqual(['half_plus_two', 'mobilenet_v2']);
  expect(verdict.downloadBytesMax).toBe(2_600_008);
});

describe('without WebGPU', () => {
  it('goes on with WebAssembly and says which fix applies', () => {
    expect(judgeFit({ ...LAPTOP, gpu: 'no-api' }, MODELS).level).toBe('caution');
    expect(findings({ ...LAPTOP, gpu: 'no-api' })).toContain('gpu-no-api');
    expect(findings({ ...LAPTOP, gpu: 'no-adapter' })).toContain('gpu-no-adapter');
    expect(findings({ ...LAPTOP, gpu: 'software' })).toContain('gpu-software');
  });
  it('names the insecure context first: it is why the API is missing', () => {
    const plainHttp = { ...LAPTOP, secureContext: false, gpu: 'no-api', storageFreeBytes: null } as const;
    expect(findings(plainHttp)).toEqual(expect.arrayContaining(['gpu-insecure', 'storage-insecure']));
  });
});

describe('what makes computing here impossible', () => {
  it.each([
    ['no WebRTC', { webRtc: false }],
    ['no workers', { worker: false }],
    ['neither a GPU nor SIMD', { wasmSimd: false, gpu: 'software' as const }],
  ])('%s', (_, change) => expect(judgeFit({ ...LAPTOP, ...change }, MODELS).level).toBe('missing'));
  it('but not SIMD alone, where a GPU computes', () => {
    expect(judgeFit({ ...LAPTOP, wasmSimd: false }, MODELS).level).toBe('caution');
  });
});

it('warns of battery, metered or saved data, little memory and storage, and phones', () => {
  expect(
    findings({
      ...LAPTOP,
      battery: { charging: false, level: 0.4 },
      saveData: true,
      memoryGiB: 1,
      storageFreeBytes: 1000,
      phoneLike: true,
    }),
  ).toEqual(expect.arrayContaining(['power-battery', 'network-saving', 'memory-small', 'storage-small', 'phone']));
  expect(findings({ ...LAPTOP, cellular: true })).toContain('network-cellular');
});

it('says nothing of what the browser does not tell', () => {
  const silent = { ...LAPTOP, cores: null, memoryGiB: null, storageFreeBytes: null, battery: null };
  expect(judgeFit(silent, MODELS).items.map((item) => item.topic)).toEqual(['gpu', 'wasm', 'webrtc']);
  expect(judgeFit(silent, MODELS).models).toHaveLength(3);
});
