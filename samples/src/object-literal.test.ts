import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMinifiedLiteral } from './object-literal.ts';

test('reads what a minifier writes', () => {
  expect(parseMinifiedLiteral('{a:.5,b:-.25,c:1e3,d:!0,e:!1,f:null,"g-h":[1,"x\\n\\"y"],i:{}}')).toEqual({
    a: 0.5,
    b: -0.25,
    c: 1000,
    d: true,
    e: false,
    f: null,
    'g-h': [1, 'x\n"y'],
    i: {},
  });
});

test('JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.stringify(value);
      expect(parseMinifiedLiteral(json)).toEqual(JSON.parse(json));
    }),
    { seed: 3, numRuns: 300 },
  );
});

test.each(['{a:alert()}', '{a:b}', '{a:1+1}', "{a:'x'}", '{a:`x`}', '{a:1}}', '', '{a:function(){}}', '[1,,2]'])(
  'refuses %s',
  (source) => {
    expect(() => parseMinifiedLiteral(source)).toThrow(SyntaxError);
  },
);
