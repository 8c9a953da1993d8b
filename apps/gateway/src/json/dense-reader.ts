/**
 * Reads nested JSON arrays straight into a tensor's flat storage. The first value fixes the shape; every later one
 * must equal it. Wordings of refusals are those of TensorFlow Serving's `json_tensor.cc` (FillTensorProto,
 * AddValueToTensor), followed by the place in the request and the shape that the signature promises.
 */
import { MeshError, TENSOR_RANK_MAX, type DType, type TensorData, type TensorSpec } from '@shoal/protocol';
import { base64Text, readBase64Object } from './base64.ts';
import { isLossy, lossText } from './float32-loss.ts';
import { OPEN_ARRAY, type JsonReader } from './json-reader.ts';

/** TensorFlow's names of the element types (`DataTypeString`). */
const TENSORFLOW_NAMES: Readonly<Record<DType, string>> = {
  float32: 'float',
  int32: 'int32',
  bool: 'bool',
  string: 'string',
};

/** Twice the error that `readNumber` may leave in a number with more digits than it takes in. */
const TRUNCATION = 4e-15;
const ELEMENTS_AT_FIRST = 16;
/** Strings are objects, each handed from thread to thread: unlike numbers, millions of them hold everybody up. */
const STRINGS_MAX = 2 ** 18;

type Numbers = Float32Array | Int32Array | Uint8Array;

export class DenseReader {
  readonly #name: string;
  readonly #spec: TensorSpec;
  /** Dimensions outside of what `read` reads: 1 where rows make the batch, 0 for a whole tensor. */
  readonly #outerRank: 0 | 1;
  /** Of one value, known from where its arrays close first. */
  readonly #shape: number[] = [];
  readonly #counts: number[] = [];
  #rank: number | null = null;
  #values: Numbers;
  readonly #strings: string[] = [];
  #elements = 0;
  /** Values read. */
  #rows = 0;

  /** @param bytesAhead what is left of the request's text, which bounds the number of elements */
  constructor(name: string, spec: TensorSpec, outerRank: 0 | 1, bytesAhead: number) {
    this.#name = name;
    this.#spec = spec;
    this.#outerRank = outerRank;
    const expected = (spec.shape ?? []).reduce((count, size) => count * Math.max(1, size), 1);
    const atMost = Math.ceil(bytesAhead / 2) + 1;
    this.#values = allocate(spec.dtype, Math.min(atMost, Math.max(expected, ELEMENTS_AT_FIRST)));
  }

  /** Values read so far. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Reads the next value: a scalar, or arrays nested to the tensor's rank.
   * @throws MeshError BAD_INPUT
   */
  read(reader: JsonReader): void {
    const counts = this.#counts;
    const shape = this.#shape;
    const isFloat = this.#spec.dtype === 'float32';
    let level = 0;
    for (;;) {
      const byte = reader.next();
      if (byte === OPEN_ARRAY) {
        if (level >= (this.#rank ?? TENSOR_RANK_MAX - this.#outerRank)) this.#refuseDepth(level);
        counts[level++] = 0;
        if (reader.enter(OPEN_ARRAY)) continue;
        this.#rank ??= level;
        this.#close(--level);
      } else {
        if (this.#rank === null) {
          this.#rank = level;
        } else if (level !== this.#rank) {
          this.#refuse(
            `JSON Value: ${reader.snippet()} found at incorrect level: ${level + 1} in the JSON DOM. ` +
              `Expected at level: ${this.#rank}`,
            level,
          );
        }
        if (isFloat) {
          this.#pushFloat(reader, level);
        } else {
          this.#pushOther(reader, level);
        }
      }
      // A value has ended; so do the arrays that it was the last of.
      for (;;) {
        if (level === 0) {
          this.#rows++;
          return;
        }
        const count = (counts[level - 1] as number) + 1;
        counts[level - 1] = count;
        if (reader.nextElement()) break;
        level--;
        if (shape[level] !== count) this.#close(level);
      }
    }
  }

  /** The values read, stacked to a batch, or the only one as it is. */
  finish(): TensorData {
    const shape = this.#outerRank === 1 ? [this.#rows, ...this.#shape] : [...this.#shape];
    const { dtype } = this.#spec;
    if (dtype === 'string') return { dtype, shape, data: this.#strings };
    const values = this.#values;
    return { dtype, shape, data: values.length === this.#elements ? values : values.slice(0, this.#elements) };
  }

  /** An array at `level` has closed: the first one of its level says how long all are. */
  #close(level: number): void {
    const count = this.#counts[level] as number;
    const expected = this.#shape[level];
    if (expected === undefined) {
      this.#shape[level] = count;
    } else if (expected !== count) {
      this.#refuse(
        `Encountered list at unexpected size: ${count} at level: ${level} expected size: ${expected}`,
        level,
      );
    }
  }

  #pushFloat(reader: JsonReader, level: number): void {
    const kind = reader.kind();
    if (kind !== 'Number') this.#refuseType(kind, reader.snippet(), level);
    let value = reader.readNumber();
    if (!reader.isExact && Math.fround(value * (1 - TRUNCATION)) !== Math.fround(value * (1 + TRUNCATION))) {
      value = reader.exactNumber();
    }
    if (isLossy(reader, value)) this.#refuse(lossText(reader), level);
    if (this.#elements === this.#values.length) this.#grow();
    this.#values[this.#elements++] = value;
  }

  #pushOther(reader: JsonReader, level: number): void {
    const { dtype } = this.#spec;
    const kind = reader.kind();
    if (dtype === 'string') {
      if (this.#strings.length === STRINGS_MAX) this.#refuse(`More than ${STRINGS_MAX} strings`, level);
      this.#strings.push(this.#readText(reader, kind, level));
      return;
    }
    if (this.#elements === this.#values.length) this.#grow();
    if (dtype === 'bool') {
      if (kind !== 'True' && kind !== 'False') this.#refuseType(kind, reader.snippet(), level);
      reader.readLiteral(kind === 'True' ? 'true' : 'false');
      this.#values[this.#elements++] = kind === 'True' ? 1 : 0;
      return;
    }
    if (kind !== 'Number') this.#refuseType(kind, reader.snippet(), level);
    const value = reader.readNumber();
    // Beyond sixteen digits it is out of an int32's range too, or leads with zeros, which JSON forbids.
    if (!reader.isInteger || (value | 0) !== value) this.#refuseType(kind, reader.numberText(), level);
    this.#values[this.#elements++] = value;
  }

  #readText(reader: JsonReader, kind: string, level: number): string {
    if (kind === 'String') return reader.readString();
    if (kind !== 'Object') return this.#refuseType(kind, reader.snippet(), level);
    const start = reader.at;
    const base64 = readBase64Object(reader);
    if (base64 === null) {
      reader.at = start;
      return this.#refuse(`JSON Value: ${reader.snippet()} not formatted correctly for base64 data`, level);
    }
    const { text, refusal } = base64Text(base64);
    return text ?? this.#refuse(refusal, level);
  }

  #grow(): void {
    const larger = allocate(this.#spec.dtype, 2 * this.#values.length);
    larger.set(this.#values);
    this.#values = larger;
  }

  #refuseType(kind: string, text: string, level: number): never {
    const expected = TENSORFLOW_NAMES[this.#spec.dtype];
    return this.#refuse(`JSON Value: ${text} Type: ${kind} is not of expected type: ${expected}`, level);
  }

  #refuseDepth(level: number): never {
    return this.#rank === null
      ? this.#refuse(`Encountered list nested deeper than rank ${TENSOR_RANK_MAX}`, level)
      : this.#refuse(`Encountered list at unexpected level: ${level} expected < ${this.#rank}`, level);
  }

  #refuse(text: string, level: number): never {
    const index = [...(this.#outerRank === 1 ? [this.#rows] : []), ...this.#counts.slice(0, level)];
    const { shape, dtype } = this.#spec;
    const place = index.length === 0 ? '' : ` at [${index.join('][')}]`;
    const expected = shape === null ? dtype : `${dtype} [${shape.join(',')}]`;
    throw new MeshError('BAD_INPUT', `${text} (input "${this.#name}"${place}, expected ${expected})`);
  }
}

function allocate(dtype: DType, elements: number): Numbers {
  if (dtype === 'float32') return new Float32Array(elements);
  if (dtype === 'int32') return new Int32Array(elements);
  return new Uint8Array(dtype === 'bool' ? elements : 0);
}
