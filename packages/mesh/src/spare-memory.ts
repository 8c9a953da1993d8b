/**
 * Memory for what is written, used again once that has been sent: palettes of pictures, packets of sockets. New memory for each has
 * the garbage collector go through a gateway's whole heap twice as often, for 1 ms of CPU a picture.
 */
const SPARE_MAX = 8;
/** Larger writings are rare, and their memory is too much to keep. */
const SPARE_BYTES_MAX = 1024 * 1024;
/** Sizes differ a little from picture to picture. */
const ROUNDED_TO_BYTES = 16 * 1024;

export class SpareMemory {
  readonly #lent = new WeakSet<ArrayBuffer>();
  #spare: ArrayBuffer[] = [];

  /** So many bytes, whatever they were. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const fitting = this.#spare.findIndex(({ byteLength }) => byteLength >= bytes);
    const [found] = fitting < 0 ? [] : this.#spare.splice(fitting, 1);
    const buffer = found ?? new ArrayBuffer(ROUNDED_TO_BYTES * Math.ceil(bytes / ROUNDED_TO_BYTES));
    this.#lent.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Nobody reads it any more; what did not come from here is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#lent.delete(buffer)) return;
    if (buffer.byteLength > SPARE_BYTES_MAX) return;
    this.#spare = [buffer, ...this.#spare].slice(0, SPARE_MAX);
  }
}
