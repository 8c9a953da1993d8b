/**
 * Memory for what is written, used again once that has been sent. New memory for every picture would have the garbage
 * collector go through a gateway's whole heap every few seconds, for 2 ms of CPU a picture.
 */
const SPARE_MAX = 8;
/** Sizes differ a little from picture to picture. */
const ROUNDED_TO_BYTES = 64 * 1024;
/** Spares that are larger by more than this are left for larger ones. */
const WASTE_MAX = 4;

export class SpareMemory {
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #spare: ArrayBufferLike[] = [];

  /** So many bytes, whatever they were. */
  take(bytes: number): Uint8Array {
    const fitting = this.#spare.findIndex(
      ({ byteLength }) => byteLength >= bytes && byteLength <= WASTE_MAX * Math.max(bytes, ROUNDED_TO_BYTES),
    );
    const [found] = fitting < 0 ? [] : this.#spare.splice(fitting, 1);
    const buffer = found ?? new ArrayBuffer(ROUNDED_TO_BYTES * Math.ceil(bytes / ROUNDED_TO_BYTES));
    this.#lent.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Nobody reads it any more; what did not come from here is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return;
    this.#spare = [buffer, ...this.#spare].slice(0, SPARE_MAX);
  }
}
