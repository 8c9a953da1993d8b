import { expect, test } from 'vitest';
import { joinBytes } from './bytes.ts';

test('joinBytes puts pieces one after another and shares no memory with them', () => {
  const piece = Uint8Array.of(1, 2, 3);
  const whole = joinBytes([piece.subarray(1), new Uint8Array(0), piece]);
  piece.fill(0);
  expect(whole).toEqual(Uint8Array.of(2, 3, 1, 2, 3));
  expect(joinBytes([])).toEqual(new Uint8Array(0));
});
