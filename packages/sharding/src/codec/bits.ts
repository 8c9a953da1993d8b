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

/** Bytes that a look ahead may read beyond the end. */
const AHEAD_BYTES = 3;

export class BitReader {
  /** With zeros behind them. */
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = new Uint8Array(bytes.length + AHEAD_BYTES);
    this.#bytes.set(bytes);
    this.#end = 8 * bytes.length;
  }

  /** The next `count` bits, at most 16. */
  take(count: number): number {
    if (count === 0) return 0;
    const value = this.#peek() & ((1 << count) - 1);
    this.#skip(count);
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
      if (more < 16) {
        this.#skip(more + 1);
        return zeros;
      }
      this.#skip(more);
    }
  }

  #skip(count: number): void {
    this.#at += count;
    if (this.#at > this.#end) throw corrupt(`table ends early, at bit ${this.#end}`);
  }

  /** The next 16 bits at least; zeros beyond the end. */
  #peek(): number {
    const at = this.#at >> 3;
    const bytes = this.#bytes;
    const ahead = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    return ahead >>> (this.#at & 7);
  }

  gamma(): number {
    const length = this.unary(15);
    return (1 << length) | this.take(length);
  }

  /** Refuses whole bytes that are left, and bits of the last one that are not zero. */
  end(): void {
    const left = (this.#end - this.#at) >> 3;
    if (left !== 0) throw corrupt(`table has ${left} bytes too many`);
    if (this.#at % 8 !== 0 && this.take(8 - (this.#at % 8)) !== 0) throw corrupt('table does not end in zeros');
  }
}
