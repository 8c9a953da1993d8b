/** Bits in a row, least significant first within each byte. */
import { corrupt } from './payload.ts';

export class BitWriter {
  readonly #bytes: number[] = [];
  #pending = 0;
  #count = 0;

  /** The `count` low bits of `value`, which has no others; at most 16. */
  put(value: number, count: number): void {
    this.#pending |= value << this.#count;
    this.#count += count;
    while (this.#count >= 8) {
      this.#bytes.push(this.#pending & 0xff);
      this.#pending >>>= 8;
      this.#count -= 8;
    }
  }

  /** `value` zeros and a one. */
  unary(value: number): void {
    let zeros = value;
    for (; zeros >= 16; zeros -= 16) this.put(0, 16);
    this.put(1 << zeros, zeros + 1);
  }

  /** Elias gamma (Elias 1975) of a whole number from 1 to 65,535. */
  gamma(value: number): void {
    const length = 31 - Math.clz32(value);
    this.unary(length);
    this.put(value & ((1 << length) - 1), length);
  }

  /** Everything written, filled up with zeros to whole bytes. */
  done(): Uint8Array {
    if (this.#count > 0) this.put(0, 8 - this.#count);
    return Uint8Array.from(this.#bytes);
  }
}

export class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next `count` bits, at most 16. */
  take(count: number): number {
    if (this.#at + count > 8 * this.#bytes.length) throw corrupt(`table ends early, at bit ${8 * this.#bytes.length}`);
    const value = this.#peek() & ((1 << count) - 1);
    this.#at += count;
    return value;
  }

  /** @throws MeshError BAD_FRAME beyond `max` */
  unary(max: number): number {
    let zeros = 0;
    for (;;) {
      const ahead = this.#peek() | (1 << 16);
      const more = 31 - Math.clz32(ahead & -ahead);
      zeros += more;
      if (zeros > max) throw corrupt(`table has a number above ${max}, or ends early`);
      this.#at += more;
      if (more < 16) break;
    }
    this.take(1);
    return zeros;
  }

  /** The next 16 bits at least; zeros beyond the end. */
  #peek(): number {
    const at = this.#at >> 3;
    const bytes = this.#bytes;
    return ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)) >>> (this.#at & 7);
  }

  gamma(): number {
    const length = this.unary(15);
    return (1 << length) | this.take(length);
  }

  /** Refuses whole bytes that are left, and bits of the last one that are not zero. */
  end(): void {
    const used = Math.ceil(this.#at / 8);
    if (used !== this.#bytes.length) throw corrupt(`table has ${this.#bytes.length - used} bytes too many`);
    if (this.#at % 8 !== 0 && this.take(8 - (this.#at % 8)) !== 0) throw corrupt('table does not end in zeros');
  }
}
