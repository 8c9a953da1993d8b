/**
 * JSON read in place from UTF-8 bytes, by a cursor that its callers move from value to value: nothing is built
 * that nobody asked for, and a number keeps the difference between `1` and `1.0`, which `JSON.parse` loses.
 *
 * Grammar and error texts are rapidjson's, as TensorFlow Serving uses it (`kParseNanAndInfFlag`): the bare tokens
 * `NaN`, `Inf` and `Infinity` are numbers, and whatever follows the document's end is ignored.
 */
import { MeshError } from '@shoal/protocol';

/** Nesting of containers. Tensors end at rank 8; the rest is for members that nobody reads. */
export const DEPTH_MAX = 64;
/** Characters of a value that an error message quotes. */
const SNIPPET_MAX = 64;

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
export const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACE = 0x20;

/** The largest mantissa to which one more decimal digit may be added and stay an exact double. */
const MANTISSA_MAX = 900_719_925_474_098;
/** Powers of ten that are exact doubles: one multiplication or division by them is correctly rounded. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

export type JsonKind = 'Null' | 'False' | 'True' | 'Object' | 'Array' | 'String' | 'Number';

export class JsonReader {
  readonly bytes: Buffer;
  /** Index of the next byte. */
  at: number;
  /** The number read last: whether it had neither fraction nor exponent. */
  isInteger = false;
  /** The number read last: false where digits beyond the sixteenth were left out, see `exactNumber`. */
  isExact = true;
  #numberAt = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const hasByteOrderMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    this.at = hasByteOrderMark ? 3 : 0;
  }

  /** @throws MeshError BAD_INPUT */
  fail(text: string, at: number = this.at): never {
    throw new MeshError('BAD_INPUT', `JSON Parse error: ${text} at offset: ${at}`);
  }

  /** Skips white space; the byte that follows, undefined at the end. */
  next(): number | undefined {
    const { bytes } = this;
    let byte = bytes[this.at];
    while (byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++this.at];
    return byte;
  }

  /** What kind of value comes next, by its first byte. */
  kind(): JsonKind {
    switch (this.next()) {
      case OPEN_OBJECT:
        return 'Object';
      case OPEN_ARRAY:
        return 'Array';
      case QUOTE:
        return 'String';
      case 0x6e:
        return 'Null';
      case 0x74:
        return 'True';
      case 0x66:
        return 'False';
      default:
        return 'Number';
    }
  }

  /** Enters an array or object; false if it is empty, which is then left at once. */
  enter(open: typeof OPEN_ARRAY | typeof OPEN_OBJECT): boolean {
    if (this.next() !== open) this.fail('Invalid value.');
    this.at++;
    if (this.next() !== (open === OPEN_ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT)) return true;
    this.at++;
    return false;
  }

  /** After an element: whether another follows. Leaves the array at its end. */
  nextElement(): boolean {
    const byte = this.next();
    if (byte !== COMMA && byte !== CLOSE_ARRAY) this.fail('Missing a comma or ] after an array element.');
    this.at++;
    return byte === COMMA;
  }

  /** After a member: whether another follows. Leaves the object at its end. */
  nextMember(): boolean {
    const byte = this.next();
    if (byte !== COMMA && byte !== CLOSE_OBJECT) this.fail('Missing a comma or } after an object member.');
    this.at++;
    return byte === COMMA;
  }

  /** A member's name and its colon. */
  readKey(): string {
    if (this.next() !== QUOTE) this.fail('Missing a name for object member.');
    const key = this.readString();
    if (this.next() !== COLON) this.fail('Missing a colon after a name of object member.');
    this.at++;
    return key;
  }

  /**
   * A number, with the cursor on its first byte. Exact unless `isExact` is false; then it is within 4 in 10^15.
   */
  readNumber(): number {
    const { bytes } = this;
    let at = this.at;
    this.#numberAt = at;
    let byte = bytes[at] as number;
    const isNegative = byte === MINUS;
    if (isNegative) byte = bytes[++at] as number;
    let mantissa = 0;
    let exponent = 0;
    let isExact = true;
    let isInteger = true;
    if (byte === ZERO) {
      byte = bytes[++at] as number;
    } else if (byte > ZERO && byte <= 0x39) {
      do {
        if (mantissa <= MANTISSA_MAX) {
          mantissa = mantissa * 10 + (byte - ZERO);
        } else {
          exponent++;
          isExact = false;
        }
        byte = bytes[++at] as number;
      } while (byte >= ZERO && byte <= 0x39);
    } else {
      return this.#readWord(at, isNegative);
    }
    if (byte === DOT) {
      isInteger = false;
      byte = bytes[++at] as number;
      if (!(byte >= ZERO && byte <= 0x39)) this.fail('Miss fraction part in number.', at);
      do {
        if (mantissa <= MANTISSA_MAX) {
          mantissa = mantissa * 10 + (byte - ZERO);
          exponent--;
        } else {
          isExact = false;
        }
        byte = bytes[++at] as number;
      } while (byte >= ZERO && byte <= 0x39);
    }
    if (byte === 0x65 || byte === 0x45) {
      isInteger = false;
      byte = bytes[++at] as number;
      const isSmall = byte === MINUS;
      if (isSmall || byte === PLUS) byte = bytes[++at] as number;
      if (!(byte >= ZERO && byte <= 0x39)) this.fail('Miss exponent in number.', at);
      let written = 0;
      do {
        if (written < 100_000) written = written * 10 + (byte - ZERO);
        byte = bytes[++at] as number;
      } while (byte >= ZERO && byte <= 0x39);
      exponent += isSmall ? -written : written;
    }
    this.at = at;
    this.isInteger = isInteger;
    this.isExact = isExact;
    if (exponent < -22 || exponent > 22) {
      this.isExact = true;
      return this.exactNumber();
    }
    const size = exponent < 0 ? mantissa / (POWERS[-exponent] as number) : mantissa * (POWERS[exponent] as number);
    return isNegative ? -size : size;
  }

  /**
   * The number read last, correctly rounded whatever its length.
   * @throws MeshError BAD_INPUT when it lies beyond a double
   */
  exactNumber(): number {
    const value = Number(this.numberText());
    if (!Number.isFinite(value)) this.fail('Number too big to be stored in double.', this.#numberAt);
    return value;
  }

  /** The number read last as it was written. */
  numberText(): string {
    return this.bytes.toString('latin1', this.#numberAt, this.at);
  }

  /** A string, with the cursor on its opening quotation mark. */
  readString(): string {
    const start = this.at + 1;
    const end = this.#endOfRun(start);
    if (this.bytes[end] === BACKSLASH) return this.#readEscaped(start, end);
    this.at = end + 1;
    return this.#decode(start, end);
  }

  /**
   * Passes over one value and checks it on the way.
   * @throws MeshError BAD_INPUT for what is no JSON, or is nested deeper than DEPTH_MAX
   */
  skipValue(): void {
    /** For each container that is open, whether it is an object. */
    const open: boolean[] = [];
    for (;;) {
      const byte = this.next();
      if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        if (open.length === DEPTH_MAX) this.fail(`Nested deeper than ${DEPTH_MAX} levels.`);
        if (this.enter(byte)) {
          open.push(byte === OPEN_OBJECT);
          if (byte === OPEN_OBJECT) this.readKey();
          continue;
        }
      } else {
        this.#skipLeaf(byte);
      }
      for (;;) {
        const isObject = open.at(-1);
        if (isObject === undefined) return;
        if (isObject ? this.nextMember() : this.nextElement()) {
          if (isObject) this.readKey();
          break;
        }
        open.pop();
      }
    }
  }

  /** The next value's text for an error message, cut if it is long. Passes over it. */
  snippet(): string {
    this.next();
    const start = this.at;
    this.skipValue();
    const text = this.bytes.toString('utf8', start, Math.min(this.at, start + SNIPPET_MAX));
    return this.at - start > SNIPPET_MAX ? `${text}...` : text;
  }

  /** `true`, `false` or `null`, with the cursor on its first byte. */
  readLiteral<Word extends 'true' | 'false' | 'null'>(word: Word): Word {
    if (this.bytes.toString('latin1', this.at, this.at + word.length) !== word) this.fail('Invalid value.');
    this.at += word.length;
    return word;
  }

  #skipLeaf(byte: number | undefined): void {
    if (byte === QUOTE) {
      const end = this.#endOfRun(this.at + 1);
      if (this.bytes[end] === QUOTE) {
        this.at = end + 1;
      } else {
        this.readString();
      }
    } else if (byte === 0x74) {
      this.readLiteral('true');
    } else if (byte === 0x66) {
      this.readLiteral('false');
    } else if (byte === 0x6e) {
      this.readLiteral('null');
    } else {
      this.#skipNumber();
    }
  }

  /** The same grammar as `readNumber` without the value, for the many numbers that cannot be out of range. */
  #skipNumber(): void {
    const { bytes } = this;
    const start = this.at;
    let at = bytes[start] === MINUS ? start + 1 : start;
    let byte = bytes[at] as number;
    const isZero = byte === ZERO;
    const wholeAt = at;
    while (byte >= ZERO && byte <= 0x39) byte = bytes[++at] as number;
    let isPlain = isZero ? at === wholeAt + 1 : at > wholeAt && at - wholeAt < 300;
    if (byte === DOT) {
      const fractionAt = ++at;
      byte = bytes[at] as number;
      while (byte >= ZERO && byte <= 0x39) byte = bytes[++at] as number;
      isPlain &&= at > fractionAt;
    }
    if (isPlain && byte !== 0x65 && byte !== 0x45) {
      this.at = at;
    } else {
      this.readNumber();
    }
  }

  /** `NaN`, `Inf` or `Infinity`, at `at`, after the sign. */
  #readWord(at: number, isNegative: boolean): number {
    for (const [word, value] of [
      ['Infinity', Number.POSITIVE_INFINITY],
      ['Inf', Number.POSITIVE_INFINITY],
      ['NaN', Number.NaN],
    ] as const) {
      if (this.bytes.toString('latin1', at, at + word.length) === word) {
        this.at = at + word.length;
        this.isInteger = false;
        this.isExact = true;
        return isNegative ? -value : value;
      }
    }
    return this.fail('Invalid value.');
  }

  /** Index of the quotation mark or backslash that ends the run of plain characters from `start`. */
  #endOfRun(start: number): number {
    const { bytes } = this;
    let at = start;
    for (;;) {
      const byte = bytes[at] as number;
      if (byte === QUOTE || byte === BACKSLASH) return at;
      if (byte < SPACE) this.fail('Invalid encoding in string.', at);
      if (byte === undefined) this.fail('Missing a closing quotation mark in string.', at);
      at++;
    }
  }

  #readEscaped(start: number, firstEscape: number): string {
    const { bytes } = this;
    const parts = [this.#decode(start, firstEscape)];
    let at = firstEscape;
    while (bytes[at] !== QUOTE) {
      const letter = String.fromCharCode(bytes[at + 1] ?? 0);
      if (letter === 'u') {
        const unit = this.#hexUnit(at + 2);
        at += 6;
        if (unit >= 0xd800 && unit <= 0xdfff) {
          const isPair = unit < 0xdc00 && bytes[at] === BACKSLASH && bytes[at + 1] === 0x75;
          const second = isPair ? this.#hexUnit(at + 2) : 0;
          if (second < 0xdc00 || second > 0xdfff) this.fail('The surrogate pair in string is invalid.', at);
          parts.push(String.fromCharCode(unit, second));
          at += 6;
        } else {
          parts.push(String.fromCharCode(unit));
        }
      } else {
        const escape = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
        if (escape === undefined) this.fail('Invalid escape character in string.', at);
        parts.push(escape);
        at += 2;
      }
      const end = this.#endOfRun(at);
      if (end > at) parts.push(this.#decode(at, end));
      at = end;
    }
    this.at = at + 1;
    return parts.join('');
  }

  /** Four hex digits as a UTF-16 unit. */
  #hexUnit(at: number): number {
    const text = this.bytes.toString('latin1', at, at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(text)) this.fail('Incorrect hex digit after \\u escape in string.', at);
    return Number.parseInt(text, 16);
  }

  #decode(start: number, end: number): string {
    try {
      return decodeUtf8(this.bytes.subarray(start, end));
    } catch {
      return this.fail('Invalid encoding in string: it is not UTF-8.', start);
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws TypeError for what is not UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}
