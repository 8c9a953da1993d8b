import { describe, expect, test } from 'vitest';
import { allowedCodecs, CodecPicker } from './codec-picker.ts';

/** A device on which each codec has a fixed price, and how often each was picked in `times` picks at a rate. */
const PRICES = {
  f32: { bytesRatio: 1, msPerMegabyte: 0 },
  int8: { bytesRatio: 0.25, msPerMegabyte: 1 },
  'int8+rans': { bytesRatio: 0.1, msPerMegabyte: 5 },
} as const;
type Name = keyof typeof PRICES;
const MEGABYTE = 1e6;

function picksAt(picker: CodecPicker, bytesPerMs: number | null, times: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const codec = picker.pick(Object.keys(PRICES), MEGABYTE, bytesPerMs) as Name;
    counts[codec] = (counts[codec] ?? 0) + 1;
    const { bytesRatio, msPerMegabyte } = PRICES[codec];
    picker.learn(codec, { plainBytes: MEGABYTE, bytes: bytesRatio * MEGABYTE, encodeMs: msPerMegabyte });
  }
  return counts;
}

describe('CodecPicker', () => {
  test('tries all that is allowed, then takes what is soonest there on the link at hand', () => {
    // 250 bytes a millisecond are 2 Mbit/s: bytes are all that counts.
    expect(picksAt(new CodecPicker(), 250, 300)['int8+rans']).toBeGreaterThan(280);
    // 30 MB/s: few bits pay, entropy coding is not even tried.
    const picker = new CodecPicker();
    const counts = picksAt(picker, 30_000, 300);
    expect(counts['int8']).toBeGreaterThan(280);
    expect(counts['int8+rans']).toBeUndefined();
    // 1 GB/s: a copy in memory. Nothing pays.
    expect(picksAt(picker, 1e6, 300)['f32']).toBeGreaterThan(280);
  });

  test('what is quick already is left alone: a trial may cost more than it could save', () => {
    expect(picksAt(new CodecPicker(), 1e6, 300)).toEqual({ f32: 300 });
  });

  test('entropy coding is tried on links that carry less than both ends of it together are taken to', () => {
    const triedAt = (bytesPerMs: number): boolean => {
      const picker = new CodecPicker();
      return Array.from({ length: 3 }, () => picker.pick(['f32', 'exact'], 2 * MEGABYTE, bytesPerMs)).includes('exact');
    };
    // A tenth at the least is carried: at 89 MB/s the two megabytes could be there in 22.2 ms rather than in 22.5.
    expect([1000, 60_000, 89_000, 91_000, 99_000].map(triedAt)).toEqual([true, true, true, false, false]);
  });

  test('packing is tried where entropy coding takes as long as the bytes that it saves', () => {
    const triedAt = (bytesPerMs: number): boolean => {
      const picker = new CodecPicker();
      const allowed = allowedCodecs('int4+rans');
      for (let i = 0; i < 2; i++) picker.learn('int4+rans', { plainBytes: 2 * MEGABYTE, bytes: 160_000, encodeMs: 10 });
      return picker.pick(allowed, 2 * MEGABYTE, bytesPerMs) === 'int4';
    };
    expect([250, 10_000].map(triedAt)).toEqual([false, true]);
  });

  test('follows a link that changes', () => {
    const picker = new CodecPicker();
    picksAt(picker, 1e6, 100);
    expect(picksAt(picker, 250, 100)['int8+rans']).toBeGreaterThan(90);
  });

  test('a slow first run does not rule a codec out for good', () => {
    const picker = new CodecPicker();
    picker.learn('int8+rans', { plainBytes: MEGABYTE, bytes: 1e5, encodeMs: 500 });
    expect(picksAt(picker, 250, 100)['int8+rans']).toBeGreaterThan(90);
  });

  test('a codec that turns slow is left', () => {
    const picker = new CodecPicker();
    picksAt(picker, 1e5, 100);
    for (let i = 0; i < 20; i++) picker.learn('int8', { plainBytes: MEGABYTE, bytes: 250_000, encodeMs: 100 });
    expect(picker.pick(Object.keys(PRICES), MEGABYTE, 1e5)).not.toBe('int8');
  });

  test('with one codec allowed there is nothing to choose', () => {
    const picker = new CodecPicker();
    for (let i = 0; i < 100; i++) expect(picker.pick(['exact'], MEGABYTE, null)).toBe('exact');
    expect(() => picker.pick([], MEGABYTE, null)).toThrow('no codec is allowed');
  });

  test('what is small goes as it is', () => {
    expect(new CodecPicker().pick(['int4+rans', 'f32'], 100, 250)).toBe('f32');
  });

  test('what nobody knows the size of is coded as its budget allows: as it is it might take seconds', () => {
    expect(new CodecPicker().pick(allowedCodecs('int4+rans'), null, null)).toBe('int4+rans');
    expect(new CodecPicker().pick(allowedCodecs(undefined), null, null)).toBe('f32');
  });

  test('on a slow link nothing is tried, or tried again, whose bytes alone take longer than the best', () => {
    const picker = new CodecPicker();
    const allowed = allowedCodecs('int8+rans');
    for (let i = 0; i < 300; i++) {
      expect(picker.pick(allowed, MEGABYTE, 250)).toBe('int8+rans');
      picker.learn('int8+rans', { plainBytes: MEGABYTE, bytes: 100_000, encodeMs: 5 });
    }
  });

  test('a codec that takes longer than it saves is left after its trials, without trying anything dear', () => {
    const picker = new CodecPicker();
    const picks = Array.from({ length: 40 }, () => {
      const codec = picker.pick(allowedCodecs('int8+rans'), MEGABYTE, 200_000);
      // A megabyte takes 5 ms as it is.
      picker.learn(codec, { plainBytes: MEGABYTE, bytes: 100_000, encodeMs: codec === 'f32' ? 0 : 8 });
      return codec;
    });
    expect(picks).toEqual(['int8+rans', 'int8+rans', ...Array.from({ length: 38 }, () => 'f32')]);
  });
});

test('a codec may be replaced by one that loses as much or less, and unknown ones by what loses nothing', () => {
  expect(allowedCodecs('int6+rans')).toEqual(['int6+rans', 'int6', 'f32', 'exact']);
  expect(allowedCodecs('int8')).toEqual(['int8', 'f32', 'exact']);
  expect(allowedCodecs('f16')).toEqual(['f16', 'f32', 'exact']);
  for (const name of ['exact', 'f32', 'zip', undefined]) expect(allowedCodecs(name)).toEqual(['f32', 'exact']);
});
