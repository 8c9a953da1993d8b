import { describe, expect, it } from 'vitest';
import { choicesFromSearch, contributeOptions, parseMemoryMiB } from './options.ts';

const DEFAULTS = { name: '', memoryMiB: null, powerPercent: 100, backend: 'auto' } as const;

describe('choicesFromSearch', () => {
  it('leaves everything open by default', () => expect(choicesFromSearch('')).toEqual(DEFAULTS));
  it('takes what the address says', () => {
    expect(choicesFromSearch('?backend=wasm&name=kitchen%20tablet&memoryMiB=512')).toEqual({
      ...DEFAULTS,
      backend: 'wasm',
      name: 'kitchen tablet',
      memoryMiB: 512,
    });
  });
  it('ignores what it cannot use', () => {
    expect(choicesFromSearch('?backend=abacus&memoryMiB=lots')).toEqual(DEFAULTS);
    expect(choicesFromSearch(`?name=${'x'.repeat(100)}`).name).toHaveLength(64);
  });
});

it.each([
  ['', null],
  ['15', null],
  ['16', 16],
  [' 2048 ', 2048],
  ['1.5', null],
  ['65537', null],
  ['-1', null],
])('parses memory %j as %j', (text, value) => expect(parseMemoryMiB(text)).toBe(value));

describe('contributeOptions', () => {
  it('asks for nothing that was left open', () => {
    expect(contributeOptions(DEFAULTS, 'a.b.c', 'https://mesh.example')).toEqual({
      invite: 'a.b.c',
      url: 'https://mesh.example',
      power: 1,
    });
  });
  it('passes on what was chosen', () => {
    const choices = { name: ' desk ', memoryMiB: 256, powerPercent: 25, backend: 'webgpu' } as const;
    expect(contributeOptions(choices, 'a.b.c', 'https://mesh.example')).toEqual({
      invite: 'a.b.c',
      url: 'https://mesh.example',
      power: 0.25,
      name: 'desk',
      memoryBytesMax: 268_435_456,
      backend: 'webgpu',
    });
  });
});
