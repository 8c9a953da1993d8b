import type { NamedTensors } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { TensorLayout } from './predict-request.ts';
import { writePredictResponse } from './predict-response.ts';

const write = (layout: TensorLayout, outputs: NamedTensors): string =>
  [...writePredictResponse(layout, outputs)].join('');
const lines = (...texts: string[]): string => texts.join('\n');

const y = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2.5, Number.NaN, -4) } as const;
const n = { dtype: 'int32', shape: [2], data: Int32Array.of(-7, 8) } as const;

describe('rows', () => {
  it("answers the documentation's example character for character", () => {
    const predictions = { y: { dtype: 'float32', shape: [3], data: Float32Array.of(2.5, 3, 4.5) } } as const;
    expect(write('row', predictions)).toBe('{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}');
  });

  it('writes the arrays of a row on one line', () => {
    expect(write('row', { y })).toBe(lines('{', '    "predictions": [[1.0, 2.5], [NaN, -4.0]', '    ]', '}'));
  });

  it('writes an object a row for several outputs, bytes as base64', () => {
    const texts = { dtype: 'string', shape: [2], data: ['a"b', 'é'] } as const;
    expect(write('row', { y, t: texts, t_bytes: texts })).toBe(
      lines(
        '{',
        '    "predictions": [',
        '        {',
        '            "y": [1.0, 2.5],',
        '            "t": "a\\"b",',
        '            "t_bytes": {',
        '                "b64": "YSJi"',
        '            }',
        '        },',
        '        {',
        '            "y": [NaN, -4.0],',
        '            "t": "é",',
        '            "t_bytes": {',
        '                "b64": "w6k="',
        '            }',
        '        }',
        '    ]',
        '}',
      ),
    );
  });

  it('refuses outputs without a batch, or with different ones', () => {
    const scalar = { dtype: 'float32', shape: [], data: Float32Array.of(1) } as const;
    const three = { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) } as const;
    expect(() => write('row', { scalar })).toThrow('Tensor name: scalar has no shape information');
    expect(() => write('row', { y, three })).toThrow('Tensor name: three has inconsistent batch size: 3 expecting: 2');
  });

  it('writes no rows, and rows of nothing', () => {
    const nothing = (shape: number[]) => ({ dtype: 'float32', shape, data: new Float32Array(0) }) as const;
    expect(write('row', { y: nothing([0, 3]) })).toBe('{\n    "predictions": []\n}');
    expect(write('row', { y: nothing([2, 0, 3]) })).toBe('{\n    "predictions": [[], []\n    ]\n}');
    expect(write('row', { y: nothing([1, 2, 0]) })).toBe('{\n    "predictions": [[[], []]\n    ]\n}');
  });
});

describe('columns', () => {
  it('writes each element on a line of its own', () => {
    expect(write('column', { n })).toBe(lines('{', '    "outputs": [', '        -7,', '        8', '    ]', '}'));
    const b = { dtype: 'bool', shape: [], data: Uint8Array.of(1) } as const;
    expect(write('column', { b })).toBe('{\n    "outputs": true\n}');
  });

  it('writes several by name, of any sizes', () => {
    expect(write('column', { n, y })).toBe(
      lines(
        '{',
        '    "outputs": {',
        '        "n": [',
        '            -7,',
        '            8',
        '        ],',
        '        "y": [',
        '            [',
        '                1.0,',
        '                2.5',
        '            ],',
        '            [',
        '                NaN,',
        '                -4.0',
        '            ]',
        '        ]',
        '    }',
        '}',
      ),
    );
  });
});

it('hands large answers out in pieces', () => {
  const data = Float32Array.from({ length: 100_000 }, (_, i) => i);
  for (const shape of [[1000, 100], [1, 100_000], [100_000]]) {
    for (const layout of ['row', 'column'] as const) {
      const pieces = [...writePredictResponse(layout, { y: { dtype: 'float32', shape, data } })];
      expect(pieces.length).toBeGreaterThan(5);
      expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(90_000);
      const written = JSON.parse(pieces.join('')) as { predictions?: number[][]; outputs?: number[][] };
      expect(Float32Array.from((written.predictions ?? written.outputs ?? []).flat())).toEqual(data);
    }
  }
});
