import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatError,
  formatMs,
  formatProbability,
  formatShare,
} from './format.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [-5, '0 B'],
    [1023, '1,023 B'],
    [1536, '1.5 KiB'],
    [2_726_298, '2.6 MiB'],
    [150 * 1024 * 1024, '150 MiB'],
    [3 * 1024 ** 3, '3 GiB'],
    [5000 * 1024 ** 4, '5,000 TiB'],
  ])('writes %d as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('formatMs', () => {
  it.each([
    [0, '0 ms'],
    [0.4237, '0.42 ms'],
    [8.44, '8.4 ms'],
    [99.6, '100 ms'],
    [104.9, '105 ms'],
    [1900, '1.9 s'],
    [12_400, '12 s'],
  ])('writes %d as %s', (ms, text) => expect(formatMs(ms)).toBe(text));
});

describe('formatDuration', () => {
  it.each([
    [-1, '0 s'],
    [42_900, '42 s'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [273_600_000, '3 d 4 h'],
  ])('writes %d as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
});

it('groups counts and writes shares with their sign', () => {
  expect(formatCount(1_234_567)).toBe('1,234,567');
  expect(formatShare(0.97312)).toBe('97.3 %');
});

it.each([
  [0, '0 %'],
  [0.00004, '< 0.01 %'],
  [0.00037, '0.04 %'],
  [0.0123, '1.2 %'],
])('writes the error %d as %s', (error, text) => expect(formatError(error)).toBe(text));

it.each([
  [0, '0 %'],
  [1e-6, '< 0.1 %'],
  [0.871, '87.1 %'],
  [0.99999, '> 99.9 %'],
  [1, '100 %'],
])('writes the probability %d as %s', (probability, text) => expect(formatProbability(probability)).toBe(text));
