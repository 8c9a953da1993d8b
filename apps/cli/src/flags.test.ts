import { expect, test } from 'vitest';
import { formatBytes, oneOf, share, sizeBytes, wholeNumber } from './flags.ts';

test('sizes are read with decimal and binary units', () => {
  expect(sizeBytes('--memory', '500MB')).toBe(500e6);
  expect(sizeBytes('--memory', '1.5 GiB')).toBe(1.5 * 2 ** 30);
  expect(sizeBytes('--memory', '4096')).toBe(4096);
  expect(sizeBytes('--memory', undefined)).toBeUndefined();
  for (const text of ['', '0', '-1MB', '1e3', '5TB', 'MB', '9'.repeat(20)]) {
    expect(() => sizeBytes('--memory', text)).toThrow('--memory is');
  }
});

test('numbers and choices name their flag and limit', () => {
  expect(wholeNumber('--port', '80', 1, 100)).toBe(80);
  expect(() => wholeNumber('--port', '101', 1, 100)).toThrow('--port is "101", expected a whole number from 0 to 100');
  expect(share('--power', '0.5')).toBe(0.5);
  expect(() => share('--power', '1.1')).toThrow('at most 1');
  expect(oneOf('--backend', 'wasm', ['wasm', 'cpu'])).toBe('wasm');
  expect(() => oneOf('--backend', 'cuda', ['wasm', 'cpu'])).toThrow('expected one of wasm, cpu');
});

test('bytes for people', () => {
  expect([12, 1500, 27_900_000].map(formatBytes)).toEqual(['12 bytes', '1.5 kB', '27.9 MB']);
});
