import { describe, expect, it } from 'vitest';
import type { Signature, TensorSpec } from '@shoal/protocol';
import { defaultSignature, inputKind, isDrawable } from './input-kind.ts';

const signature = (inputs: Record<string, Partial<TensorSpec>>): Signature => ({
  inputs: Object.fromEntries(
    Object.entries(inputs).map(([name, spec]) => [name, { dtype: 'float32', shape: [-1], tensor: name, ...spec }]),
  ),
  outputs: {},
});

describe('inputKind', () => {
  it('takes [-1, H, W, 3] and [-1, H, W, 1] as pictures', () => {
    expect(inputKind(signature({ image: { shape: [-1, 224, 224, 3] } }))).toEqual({
      kind: 'image',
      inputName: 'image',
      height: 224,
      width: 224,
      channels: 3,
    });
    expect(inputKind(signature({ x: { shape: [-1, 28, 28, 1] } }))).toMatchObject({ channels: 1 });
  });
  it.each([
    ['another rank', { x: { shape: [-1, 4] } }],
    ['unknown sides', { x: { shape: [-1, -1, -1, 3] } }],
    ['unknown rank', { x: { shape: null } }],
    ['other channels', { x: { shape: [-1, 32, 32, 4] } }],
    ['another dtype', { x: { shape: [-1, 32, 32, 3], dtype: 'int32' as const } }],
    ['a tiny grid', { x: { shape: [-1, 2, 2, 1] } }],
    ['two inputs', { a: { shape: [-1, 32, 32, 3] }, b: {} }],
    ['no input', {}],
  ])('takes %s as numbers', (_, inputs) => expect(inputKind(signature(inputs))).toEqual({ kind: 'json' }));
});

it('lets digits be drawn', () => {
  const image = { kind: 'image', inputName: 'x', height: 28, width: 28, channels: 1 } as const;
  expect(isDrawable(image)).toBe(true);
  expect(isDrawable({ ...image, channels: 3 })).toBe(false);
});

it('calls serving_default, or what there is', () => {
  const one = signature({});
  expect(defaultSignature({ other: one, serving_default: one })?.[0]).toBe('serving_default');
  expect(defaultSignature({ other: one })?.[0]).toBe('other');
  expect(defaultSignature({})).toBeNull();
});
