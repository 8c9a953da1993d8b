/** Bits in a row, least significant first within each byte. */
import { corrupt } from './payload.ts';

export class BitWriter {
  readonly #bytes: number[] = [];
  #pending = 0;
  #count = 0;

  /** The `count` low bits of `value`, at most 16. */
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
    for (let i = 0; i < value; i++) this.put(0, 1);
    this.put(1, 1);
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

  take(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      const byte = this.#bytes[this.#at >> 3];
      if (byte === undefined) throw corrupt(`table ends early, at bit ${this.#at}`);
      value |= ((byte >> (this.#at & 7)) & 1) << i;
    }
    return value;
  }

  /** @throws MeshError BAD_FRAME beyond `max` */
  unary(max: number): number {
    let value = 0;
    while (this.take(1) === 0) if (++value > max) throw corrupt(`table has a number above ${max}`);
    return value;
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
