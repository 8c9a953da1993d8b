/**
 * Bytes of a coded tensor, written and read front to back. All numbers are little-endian. A read beyond the end is
 * refused, so no count that a peer names is trusted before its bytes are there.
 */
import { MeshError } from '@shoal/protocol';

/** What a decoder throws: whoever knows the tensor's name adds it. */
export const corrupt = (what: string): MeshError => new MeshError('BAD_FRAME', what);

export class PayloadWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** Bytes written. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    return this.bytes(Uint8Array.of(value));
  }

  i16(value: number): this {
    return this.bytes(Uint8Array.of(value & 0xff, (value >> 8) & 0xff));
  }

  u32(value: number): this {
    return this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }

  /** The caller leaves these bytes alone until `done`. */
  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  /** All that another one has written. */
  append(other: PayloadWriter): this {
    for (const part of other.#parts) this.bytes(part);
    return this;
  }

  /** Everything written, in memory of its own. */
  done(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}

export class PayloadReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.bytes(1)[0] as number;
  }

  i16(): number {
    const [low = 0, high = 0] = this.bytes(2);
    return ((low | (high << 8)) << 16) >> 16;
  }

  u32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.bytes(4);
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  /** The next `length` bytes as a view. */
  bytes(length: number): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (length > left) throw corrupt(`payload ends ${length - left} bytes early, at byte ${this.#bytes.length}`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.#bytes.length - this.#at);
  }

  /** Refuses what is left. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw corrupt(`payload has ${left} bytes too many`);
  }
}
