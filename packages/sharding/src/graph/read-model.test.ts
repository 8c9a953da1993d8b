import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { functional, halfPlusTwo, keras3, sequential, splitGraph } from './fixtures.ts';
import { ModelError } from './model-error.ts';
import { readModel } from './read-model.ts';
import { weightFileExtents } from './weights-manifest.ts';

/** A deep copy with one value replaced. */
function changed(model: object, path: readonly (string | number)[], value: unknown): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(model));
  let at = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1) ?? ''] = value;
  return copy;
}

function refusal(model: unknown): ModelError {
  try {
    readModel(model);
  } catch (error) {
    if (error instanceof ModelError) return error;
    throw error;
  }
  throw new Error('the model was taken');
}

describe('readModel of a GraphModel', () => {
  it('takes the declared signature, weights and files', () => {
    const model = readModel(halfPlusTwo);
    expect(model).toMatchObject({
      format: 'graph-model',
      weightFiles: ['group1-shard1of1.bin'],
      weightBytes: 8,
      memoryBytes: 8,
      hasInitializer: false,
      signatures: {
        serving_default: {
          inputs: { x: { dtype: 'float32', shape: [-1], tensor: 'x:0' } },
          outputs: { y: { dtype: 'float32', shape: [-1], tensor: 'y:0' } },
        },
      },
    });
    expect(model.weights.map((w) => [w.name, w.offset, w.bytes])).toEqual([
      ['half', 0, 4],
      ['two', 4, 4],
    ]);
  });

  it('infers format and signature from placeholders and unread nodes', () => {
    const model = readModel(splitGraph);
    expect(model.format).toBe('graph-model');
    expect(model.signatures['serving_default']).toEqual({
      inputs: {
        ids: { dtype: 'int32', shape: [-1, 2], tensor: 'ids:0' },
        x: { dtype: 'float32', shape: [-1, 4], tensor: 'x:0' },
      },
      outputs: { large: { dtype: 'bool', shape: null, tensor: 'large:0' } },
    });
    expect(model.weightFiles).toEqual(['a.bin', 'b.bin', 'c.bin']);
  });

  it('reads the signature from userDefinedMetadata and skips resources', () => {
    const { signature, ...rest } = halfPlusTwo;
    const inputs = { ...signature.inputs, table: { name: 'two:0', dtype: 'DT_RESOURCE', resourceId: 7 } };
    const model = readModel({ ...rest, userDefinedMetadata: { signature: { ...signature, inputs } } });
    expect(Object.keys(model.signatures['serving_default']?.inputs ?? {})).toEqual(['x']);
  });
});

describe('readModel of a LayersModel', () => {
  it('reads a Sequential without an input layer, and leaves an optimizer out', () => {
    const model = readModel(sequential);
    expect(model.signatures['serving_default']).toEqual({
      inputs: { first_input: { dtype: 'float32', shape: [-1, 3], tensor: 'first_input' } },
      outputs: { second: { dtype: 'float32', shape: [-1, 2], tensor: 'second' } },
    });
    expect(model.weights.map((w) => [w.name, w.offset, w.bytes])).toEqual([
      ['first/kernel', 0, 12],
      ['first/bias', 12, 8],
      ['second/kernel', 24, 32],
      ['second/bias', 56, 8],
    ]);
    expect(model).toMatchObject({ weightFileBytes: 64, weightBytes: 60, memoryBytes: 4 * (12 + 4 + 8 + 2) });
  });

  it('reads the bare list of layers of early Keras', () => {
    const layers = sequential.modelTopology.model_config.config.layers;
    const model = readModel(changed(sequential, ['modelTopology', 'model_config', 'config'], layers));
    expect(Object.keys(model.signatures['serving_default']?.outputs ?? {})).toEqual(['second']);
  });

  it('unfolds nested models and names outputs after the outer layer', () => {
    const model = readModel(functional);
    expect(model.signatures['serving_default']).toEqual({
      inputs: {
        left: { dtype: 'float32', shape: [-1, 3], tensor: 'left' },
        right: { dtype: 'float32', shape: [-1, 3], tensor: 'right' },
      },
      outputs: {
        shared: { dtype: 'float32', shape: [-1, 4], tensor: 'shared:1:0' },
        tower: { dtype: 'float32', shape: [-1, 4], tensor: 'hidden' },
      },
    });
    if (model.topology.format !== 'layers-model') throw new Error('format');
    expect(model.topology.keras.calls.map((c) => `${c.layer.name}#${c.call}`)).toEqual([
      'left#0',
      'right#0',
      'hidden#0',
      'hidden#1',
      'sum#0',
      'shared#0',
      'shared#1',
    ]);
  });

  it('reads the forms of Keras 3', () => {
    expect(readModel(keras3).signatures['serving_default']).toEqual({
      inputs: { x: { dtype: 'int32', shape: [-1, 3], tensor: 'x' } },
      outputs: { out: { dtype: 'float32', shape: [-1, 2], tensor: 'out' } },
    });
  });
});

describe('refusals name the field', () => {
  const paths = ['weightsManifest', 0, 'paths', 0] as const;
  it.each([
    '../secret',
    '/etc/passwd',
    'a/b.bin',
    'a\\b.bin',
    '..',
    '.hidden',
    '',
    'c:\\x',
    'https://x.org/a',
    '%2e%2e%2fa',
    'a?b',
    'a\nb',
  ])('of a weight path %j', (path) => {
    const error = refusal(changed(halfPlusTwo, paths, path));
    expect(error.code).toBe('bad-path');
    expect(error.field).toBe('weightsManifest[0].paths[0]');
  });

  const weight = ['weightsManifest', 0, 'weights', 0] as const;
  const node = ['modelTopology', 'node', 3] as const;
  it.each([
    ['a path of 300 characters', [...paths], 'a'.repeat(300), 'too-large'],
    ['a negative dimension', [...weight, 'shape'], [-1], 'too-large'],
    ['a fractional dimension', [...weight, 'shape'], [1.5], 'malformed'],
    ['a weight beyond memory', [...weight, 'shape'], [2 ** 20, 2 ** 20], 'too-large'],
    ['a rank of 9', [...weight, 'shape'], [1, 1, 1, 1, 1, 1, 1, 1, 1], 'too-large'],
    ['a weight twice', [...weight, 'name'], 'two', 'bad-name'],
    ['complex weights', [...weight, 'dtype'], 'complex64', 'unsupported'],
    ['weights of strings', [...weight, 'dtype'], 'string', 'unsupported'],
    ['a quantization without scale', [...weight, 'quantization'], { dtype: 'uint8', min: 0 }, 'malformed'],
    ['a node named __proto__', [...node, 'name'], '__proto__', 'bad-name'],
    ['a node named constructor', [...node, 'name'], 'constructor', 'bad-name'],
    ['a name of a million characters', [...node, 'name'], 'n'.repeat(1e6), 'too-large'],
    ['two nodes of one name', [...node, 'name'], 'x', 'bad-name'],
    ['an input that is not there', [...node, 'input'], ['nowhere', 'half'], 'missing'],
    ['an output index beyond reason', [...node, 'input'], ['x:99999', 'half'], 'too-large'],
    ['a signature of nothing', ['signature', 'outputs', 'y', 'name'], 'gone:0', 'missing'],
    ['a wrong format', ['format'], 'layers-model', 'unsupported'],
    ['no topology', ['modelTopology'], {}, 'malformed'],
  ] as const)('of %s', (_, path, value, code) => {
    expect(refusal(changed(halfPlusTwo, path, value)).code).toBe(code);
  });

  it('of too many nodes', () => {
    const node = Array.from({ length: 70_000 }, (_, i) => ({ name: `n${i}`, op: 'NoOp' }));
    expect(refusal(changed(halfPlusTwo, ['modelTopology', 'node'], node))).toMatchObject({
      code: 'too-large',
      field: 'modelTopology.node',
    });
  });

  it('of JSON nested a million deep, without a stack overflow', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 1e6; i += 1) deep = [deep];
    expect(refusal(changed(halfPlusTwo, ['modelTopology', 'node', 0, 'attr'], deep)).code).toBe('too-large');
  });

  it('of layers that call one another in a loop', () => {
    const inbound = ['modelTopology', 'config', 'layers', 3, 'inbound_nodes'];
    expect(refusal(changed(functional, inbound, [[['shared', 0, 0, {}]]])).code).toBe('cyclic');
  });

  it('of nested models that multiply beyond the limit', () => {
    let inner: object = {
      name: 'layer0',
      class_name: 'Activation',
      config: { name: 'layer0', activation: 'relu' },
    };
    for (let depth = 1; depth <= 8; depth += 1) {
      const name = `layer${depth}`;
      const layers: object[] = [
        {
          name: `in${depth}`,
          class_name: 'InputLayer',
          config: { name: `in${depth}`, batch_input_shape: [null, 1] },
          inbound_nodes: [],
        },
        { ...inner, inbound_nodes: Array.from({ length: 50 }, () => [[`in${depth}`, 0, 0, {}]]) },
      ];
      const out = [[`layer${depth - 1}`, depth === 1 ? 0 : 1, 0]];
      inner = {
        name,
        class_name: 'Model',
        config: { name, layers, input_layers: [[`in${depth}`, 0, 0]], output_layers: out },
      };
    }
    expect(refusal({ ...functional, modelTopology: inner }).code).toBe('too-large');
  });
});

describe('weightFileExtents', () => {
  it('lays files end to end', () => {
    const extents = weightFileExtents(
      ['a', 'b'],
      12,
      new Map([
        ['a', 4],
        ['b', 8],
      ]),
    );
    expect(extents).toEqual([
      { path: 'a', offset: 0, bytes: 4 },
      { path: 'b', offset: 4, bytes: 8 },
    ]);
  });

  it('refuses missing files and wrong sizes', () => {
    expect(() => weightFileExtents(['a'], 12, new Map())).toThrow(/missing/);
    expect(() => weightFileExtents(['a'], 12, new Map([['a', 11]]))).toThrow(/hold 11 bytes, the weights need 12/);
  });
});

describe('strings', () => {
  it('measures weights of strings from their bytes', () => {
    const text = changed(halfPlusTwo, ['weightsManifest', 0, 'weights', 0], {
      name: 'half',
      shape: [2],
      dtype: 'string',
    });
    const bytes = new Uint8Array([1, 0, 0, 0, 65, 3, 0, 0, 0, 66, 67, 68, 0, 0, 0, 64]);
    const model = readModel(text, { readWeightBytes: (offset, length) => bytes.slice(offset, offset + length) });
    expect(model.weights[0]).toMatchObject({ dtype: 'string', offset: 0, bytes: 12 });
    expect(model.weightFileBytes).toBe(16);
  });
});

/** All paths to values inside a JSON document. */
function pathsOf(value: unknown, prefix: readonly (string | number)[] = []): readonly (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [[...prefix]];
  const children = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [[...prefix], ...children.flatMap(([key, child]) => pathsOf(child, [...prefix, key]))];
}

describe('hostile files', () => {
  it('are taken or refused with a ModelError, whatever is changed in them', () => {
    const models = [halfPlusTwo, splitGraph, sequential, functional, keras3];
    const place = fc.constantFrom(
      ...models.flatMap((model) =>
        pathsOf(model)
          .slice(1)
          .map((path) => ({ model, path })),
      ),
    );
    const names = fc.constantFrom(
      'x',
      'two',
      'tower',
      'shared',
      'left',
      '__proto__',
      'Sequential',
      'InputLayer',
      '^x',
      'a:1',
      '-1',
    );
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      names,
      fc.double(),
      fc.constantFrom(-1, 0, 1, 2 ** 40, undefined),
    );
    fc.assert(
      fc.property(place, value, value, ({ model, path }, first, second) => {
        const hostile = changed(
          changed(model, path, first) as object,
          path,
          Array.isArray(first) ? [...first, second] : first,
        );
        try {
          readModel(hostile);
        } catch (error) {
          if (!(error instanceof ModelError)) throw error;
        }
      }),
      { seed: 3, numRuns: 1500 },
    );
  }, 60_000);
});
