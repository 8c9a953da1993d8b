import { describe, expect, it } from 'vitest';
import { curlSnippet, restBodyOfTensor, sdkSnippet, type SnippetState } from './snippets.ts';

const NUMBERS: SnippetState = {
  origin: 'http://mesh.example:8080',
  model: 'half_plus_two',
  version: 1,
  input: {
    kind: 'json',
    json: '[1, 2, 5]\n',
    tensors: { x: { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 5) } },
  },
};
const image = (channels: 1 | 3): SnippetState => ({
  ...NUMBERS,
  model: 'pictures',
  input: { kind: 'image', image: { kind: 'image', inputName: 'x', height: 28, width: 28, channels } },
});

describe('curlSnippet', () => {
  it('prints rows in the body and the address of the gateway', () => {
    expect(curlSnippet(NUMBERS, 'request.json')).toBe(
      `curl -d '{"instances":[1, 2, 5]}' http://mesh.example:8501/v1/models/half_plus_two/versions/1:predict`,
    );
  });
  it('prints columns for inputs by name, and quotes for the shell', () => {
    const state: SnippetState = { ...NUMBERS, input: { kind: 'json', json: `{"text":["it's"]}`, tensors: {} } };
    expect(curlSnippet(state, 'request.json')).toContain(String.raw`'{"inputs":{"text":["it'\''s"]}}'`);
  });
  it('names a file for a picture', () => {
    expect(curlSnippet(image(3), 'request.json')).toContain('curl -d @request.json http');
  });
});

describe('sdkSnippet', () => {
  it('holds the numbers as the tensor that is sent', () => {
    expect(sdkSnippet(NUMBERS)).toContain(
      `const input = { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 5) };`,
    );
  });
  it('names several inputs', () => {
    const tensors = {
      ids: { dtype: 'int32', shape: [1], data: Int32Array.of(7) },
      text: { dtype: 'string', shape: [1], data: ['a'] },
    } as const;
    expect(sdkSnippet({ ...NUMBERS, input: { kind: 'json', json: '', tensors } })).toContain(
      `{ "ids": { dtype: 'int32', shape: [1], data: Int32Array.of(7) }, "text": { dtype: 'string', shape: [1], data: ["a"] } }`,
    );
  });
  it('shows how a picture becomes the tensor', () => {
    expect(sdkSnippet(image(3))).toContain('shape: [1, 28, 28, 3]');
    expect(sdkSnippet(image(1))).toContain('luminance(i * 4)');
  });
});

it('writes a tensor as nested rows', () => {
  const tensor = { dtype: 'float32', shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;
  expect(restBodyOfTensor(tensor)).toBe('{"instances":[[[1,2],[3,4]]]}');
});
