/**
 * Memory used again once nobody reads it: palettes of pictures and packets that were sent, pictures that were computed. New memory for
 * each has the garbage collector go through a gateway's whole heap twice as often, for 1 ms of CPU a picture.
 */
const SPARE_MAX = 8;
/** All that is kept: more than a few pictures together take is too much to keep. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;
/** Sizes differ a little from picture to picture. */
const ROUNDED_TO_BYTES = 16 * 1024;

export class SpareMemory {
  readonly #lent = new WeakSet<ArrayBuffer>();
  #spare: ArrayBuffer[] = [];

  /** So many bytes, whatever they were. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const fitting = this.#spare.filter(({ byteLength }) => byteLength >= bytes);
    const found = fitting.sort((a, b) => a.byteLength - b.byteLength)[0];
    this.#spare = this.#spare.filter((spare) => spare !== found);
    const buffer = found ?? new ArrayBuffer(ROUNDED_TO_BYTES * Math.ceil(bytes / ROUNDED_TO_BYTES));
    this.#lent.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Nobody reads it any more; what did not come from here is left alone. */
  giveBack({ buffer }: ArrayBufferView): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#lent.delete(buffer)) return;
    this.#spare = [buffer, ...this.#spare].slice(0, SPARE_MAX);
    let bytes = 0;
    this.#spare = this.#spare.filter(({ byteLength }) => (bytes += byteLength) <= SPARE_BYTES_MAX);
  }
}
