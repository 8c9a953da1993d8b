/**
 * Protobuf's wire format, read where it lies: lengths are checked against what is there before anything is made of
 * them, and messages within are read in place.
 *
 *     message = { tag value }     tag = varint of (field << 3 | wire type)
 *     value   = varint (0) | 8 bytes (1) | length, bytes (2) | group (3 … 4) | 4 bytes (5)
 */
import { MeshError } from '@shoal/protocol';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const GROUP = 3;
const GROUP_END = 4;
export const FIXED32 = 5;

/** As deep as protobuf's own parsers follow groups. */
const GROUP_DEPTH_MAX = 100;
const VARINT_BYTES_MAX = 10;
const TWO_32 = 2 ** 32;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class WireReader {
  readonly bytes: Uint8Array;
  /** Offset of the next byte. */
  at: number;
  readonly end: number;
  /** Of the value that is next, once `next` said that there is one. */
  field = 0;
  wireType = VARINT;
  #dataView: DataView | undefined;

  /** Reads `bytes[start, end)`. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Reads the next tag; false at the end of the message. Whoever is told true reads the value, or skips it. */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.uint32();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) throw malformed('field number 0', this.at);
    return true;
  }

  /** Whether the value that is next is this field in this wire type. Others are unknown, as to protobuf's own parsers. */
  is(field: number, wireType: number): boolean {
    return this.field === field && this.wireType === wireType;
  }

  /** A varint's lower 32 bits, unsigned. */
  uint32(): number {
    let value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.#byte();
      if (i < 5) value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return value >>> 0;
    }
    throw malformed('a varint of more than 10 bytes', this.at);
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** A varint of 64 bits as the nearest number. */
  int64(): number {
    const [low, high] = this.#varint64();
    return (high | 0) * TWO_32 + low;
  }

  uint64(): number {
    const [low, high] = this.#varint64();
    return high * TWO_32 + low;
  }

  float32(): number {
    const start = this.at;
    this.#jump(4);
    return this.#view().getFloat32(start, true);
  }

  float64(): number {
    const start = this.at;
    this.#jump(8);
    return this.#view().getFloat64(start, true);
  }

  bool(): boolean {
    const [low, high] = this.#varint64();
    return low !== 0 || high !== 0;
  }

  /** Where the bytes of a length-delimited value end; they begin at `at`. */
  length(): number {
    const length = this.uint64();
    const left = this.end - this.at;
    if (length > left) throw malformed(`field ${this.field} declares ${length} bytes, ${left} are left`, this.at);
    return this.at + length;
  }

  /** A length-delimited value, where it lies. */
  subarray(): Uint8Array {
    const end = this.length();
    const value = this.bytes.subarray(this.at, end);
    this.at = end;
    return value;
  }

  /** A message within, where it lies. */
  message(): WireReader {
    const end = this.length();
    const reader = new WireReader(this.bytes, this.at, end);
    this.at = end;
    return reader;
  }

  string(): string {
    try {
      return utf8.decode(this.subarray());
    } catch (error) {
      if (error instanceof MeshError) throw error;
      throw malformed(`field ${this.field} is not UTF-8`, this.at);
    }
  }

  /** Over a value of any wire type. */
  skip(): void {
    this.#skip(this.wireType, 0);
  }

  #skip(wireType: number, depth: number): void {
    switch (wireType) {
      case VARINT:
        this.#varint64();
        return;
      case FIXED64:
        return this.#jump(8);
      case BYTES:
        this.at = this.length();
        return;
      case FIXED32:
        return this.#jump(4);
      case GROUP:
        return this.#skipGroup(depth + 1);
      default:
        throw malformed(wireType === GROUP_END ? 'a group ends that never began' : `wire type ${wireType}`, this.at);
    }
  }

  #skipGroup(depth: number): void {
    if (depth > GROUP_DEPTH_MAX) throw malformed(`groups deeper than ${GROUP_DEPTH_MAX}`, this.at);
    const { field } = this;
    while (this.next()) {
      if (this.wireType === GROUP_END) {
        if (this.field !== field) throw malformed('a group ends that never began', this.at);
        return;
      }
      this.#skip(this.wireType, depth);
    }
    throw malformed(`group ${field} has no end`, this.at);
  }

  #jump(bytes: number): void {
    if (bytes > this.end - this.at) throw malformed('the message ends in the middle of a value', this.at);
    this.at += bytes;
  }

  #view(): DataView {
    this.#dataView ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    return this.#dataView;
  }

  #byte(): number {
    if (this.at >= this.end) throw malformed('the message ends in the middle of a value', this.at);
    return this.bytes[this.at++] as number;
  }

  #varint64(): readonly [low: number, high: number] {
    let low = 0;
    let high = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) return [low >>> 0, high >>> 0];
    }
    throw malformed('a varint of more than 10 bytes', this.at);
  }
}

const malformed = (what: string, at: number): MeshError =>
  new MeshError('BAD_INPUT', `the message is not protobuf: ${what} at byte ${at}`);
