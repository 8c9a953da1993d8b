import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEPTH_MAX, JsonReader } from './json-reader.ts';

const read = (text: string): JsonReader => new JsonReader(Buffer.from(text));

describe('JsonReader', () => {
  it.each([
    ['', 'Invalid value. at offset: 0'],
    ['nul', 'Invalid value. at offset: 0'],
    ['[1 2]', 'Missing a comma or ] after an array element. at offset: 3'],
    ['[1,]', 'Invalid value. at offset: 3'],
    ['[01]', 'Missing a comma or ] after an array element. at offset: 2'],
    ['[+1]', 'Invalid value. at offset: 1'],
    ['[.5]', 'Invalid value. at offset: 1'],
    ['[1.]', 'Miss fraction part in number. at offset: 3'],
    ['[1e]', 'Miss exponent in number. at offset: 3'],
    ['[-]', 'Invalid value. at offset: 1'],
    ['[1e309]', 'Number too big to be stored in double. at offset: 1'],
    [`[${'9'.repeat(400)}]`, 'Number too big to be stored in double. at offset: 1'],
    ['{1:2}', 'Missing a name for object member. at offset: 1'],
    ['{"a" 2}', 'Missing a colon after a name of object member. at offset: 5'],
    ['{"a":2 "b":3}', 'Missing a comma or } after an object member. at offset: 7'],
    ['{"a":2,}', 'Missing a name for object member. at offset: 7'],
    ['"abc', 'Missing a closing quotation mark in string. at offset: 4'],
    ['"a\nb"', 'Invalid encoding in string. at offset: 2'],
    ['"\\x"', 'Invalid escape character in string. at offset: 1'],
    ['"\\u12g4"', 'Incorrect hex digit after \\u escape in string. at offset: 3'],
    ['"\\ud800"', 'The surrogate pair in string is invalid. at offset: 7'],
    ['"\\ud800\\u0041"', 'The surrogate pair in string is invalid. at offset: 7'],
    ['"\\udc00"', 'The surrogate pair in string is invalid. at offset: 7'],
  ])('refuses %j', (text, reason) => {
    expect(() => read(text).skipValue()).toThrow(`JSON Parse error: ${reason}`);
  });

  it('refuses strings that are not UTF-8', () => {
    const reader = new JsonReader(Buffer.from([0x22, 0xff, 0x22]));
    expect(() => reader.readString()).toThrow('it is not UTF-8');
  });

  it(`refuses nesting deeper than ${DEPTH_MAX}, however deep`, () => {
    read('['.repeat(DEPTH_MAX) + ']'.repeat(DEPTH_MAX)).skipValue();
    for (const open of ['[', '{"a":']) {
      expect(() => read(open.repeat(10_000)).skipValue()).toThrow(`Nested deeper than ${DEPTH_MAX} levels.`);
    }
  });

  it('takes NaN, Inf and Infinity for numbers, with a sign too', () => {
    const values = ['NaN', '-NaN', 'Inf', '-Inf', 'Infinity', '-Infinity'].map((word) => read(word).readNumber());
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    expect(values).toEqual([nan, nan, inf, -inf, inf, -inf]);
  });

  it('passes over a byte order mark', () => {
    expect(read('\u{feff}7').readNumber()).toBe(7);
  });

  it('passes over any JSON value, to its last byte', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1), (value, spaces) => {
        const text = JSON.stringify(value, null, spaces);
        const reader = read(`${text} tail`);
        reader.skipValue();
        expect(reader.at).toBe(Buffer.byteLength(text));
      }),
      { seed: 8501, numRuns: 2000 },
    );
  });

  it('reads any string as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, isEscaped) => {
        const plain = JSON.stringify(text);
        const hex = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
        const json = isEscaped
          ? `"${Array.from({ length: text.length }, (_, i) => hex(text[i] ?? '')).join('')}"`
          : plain;
        expect(read(json).readString()).toBe(text);
      }),
      { seed: 8501, numRuns: 1000 },
    );
  });

  it('reads any number exactly, or says that it did not', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 25 });
    const whole = digits.map((text) => text.replace(/^0+(?=\d)/, ''));
    const number = fc
      .tuple(
        fc.constantFrom('', '-'),
        whole,
        fc.option(digits, { nil: undefined }),
        fc.option(fc.integer({ min: -60, max: 60 }), { nil: undefined }),
      )
      .map(([sign, integer, fraction, exponent]) => {
        const fractionText = fraction === undefined ? '' : `.${fraction}`;
        return `${sign}${integer}${fractionText}${exponent === undefined ? '' : `e${exponent}`}`;
      });
    fc.assert(
      fc.property(number, (text) => {
        const reader = read(`${text},`);
        const value = reader.readNumber();
        expect(reader.at).toBe(text.length);
        expect(reader.isInteger).toBe(/^-?\d+$/.test(text));
        const exact = Number(text);
        if (reader.isExact) {
          expect(value).toBe(exact);
        } else {
          expect(Math.abs(value - exact)).toBeLessThanOrEqual(4e-15 * Math.abs(exact));
          expect(reader.exactNumber()).toBe(exact);
        }
      }),
      { seed: 8501, numRuns: 5000 },
    );
  });
});
