/** Spoils requests: from bytes flipped at random to values that JSON can say and no model can take. */
import type { Random } from '@shoal/base';

const SPOILERS = [
  'null',
  'true',
  '{}',
  '[]',
  '[[[[[[[[[[1]]]]]]]]]]',
  '"text"',
  '{"b64": "aGk="}',
  '{"b64": 5}',
  '{"__proto__": 1}',
  'NaN',
  '-Infinity',
  '1e309',
  '-1e-400',
  '1e99999999999999999999',
  '16777217',
  '99999999999999999999999999',
  '0.1000000000000000055511151231257827021181583404541015625',
  '01',
  '"\\ud800"',
  '"\\u0000"',
  '\u0000',
  '"',
  '\\',
  '[',
  '}',
  ',',
  '['.repeat(200),
];

const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random.next() * items.length)] as T;
const below = (random: Random, end: number): number => Math.floor(random.next() * end);

/** One to four changes to a text, as bytes: not all of them leave it UTF-8. */
export function mutate(random: Random, text: string): Buffer {
  let bytes: Buffer = Buffer.from(text);
  for (let changes = 1 + below(random, 4); changes > 0; changes--) bytes = change(random, bytes);
  return bytes;
}

function change(random: Random, bytes: Buffer): Buffer {
  const at = below(random, bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(random, 8));
  switch (below(random, 6)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(below(random, 256)), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(random, SPOILERS)), bytes.subarray(at)]);
    default:
      return spoilValue(random, bytes.toString());
  }
}

/** Puts a spoiler in the place of a number, word or string. */
function spoilValue(random: Random, text: string): Buffer {
  const values = [...text.matchAll(/-?\d[\d.eE+-]*|"[^"]*"|true|false/g)];
  if (values.length === 0) return Buffer.from(text);
  const value = pick(random, values);
  return Buffer.from(text.slice(0, value.index) + pick(random, SPOILERS) + text.slice(value.index + value[0].length));
}
