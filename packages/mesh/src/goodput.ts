/**
 * The rate at which a link brings what was really sent: bytes of a message's later packets over the time since its first one.
 * No probes: activations are measured as they pass. A message of one packet tells nothing.
 */

/** Less than this together is not told: a few packets arrive in one turn of the event loop. */
const WINDOW_BYTES_MIN = 256 * 1024;
/** Below the resolution of the clock a rate would be invented. */
const WINDOW_MS_MIN = 1;
/** Weight of a new window against those before, of the time that a byte takes: a link that turns slow shows it within a window or two. */
const EWMA_SHARE = 0.3;

/** Messages whose packets come interleaved; the sender of more is not worth the notes. */
const ARRIVALS_MAX = 64;

interface Arrival {
  readonly firstAtMs: number;
  readonly firstBytes: number;
  bytes: number;
}

export class Goodput {
  /** By number of the message. */
  readonly #arrivals = new Map<number, Arrival>();
  #windowBytes = 0;
  #windowMs = 0;
  #msPerByte: number | null = null;

  /** Null until enough has come. */
  get bytesPerMs(): number | null {
    return this.#msPerByte === null ? null : 1 / this.#msPerByte;
  }

  /** A packet's payload arrived, of a message of `messageBytes`. */
  add(nowMs: number, message: number, bytes: number, messageBytes: number): void {
    const arrival = this.#arrivals.get(message);
    if (arrival === undefined) {
      if (bytes >= messageBytes) return;
      const [oldest] = this.#arrivals.keys();
      if (oldest !== undefined && this.#arrivals.size >= ARRIVALS_MAX) this.#arrivals.delete(oldest);
      this.#arrivals.set(message, { firstAtMs: nowMs, firstBytes: bytes, bytes });
      return;
    }
    arrival.bytes += bytes;
    if (arrival.bytes < messageBytes) return;
    this.#arrivals.delete(message);
    this.#windowBytes += arrival.bytes - arrival.firstBytes;
    this.#windowMs += nowMs - arrival.firstAtMs;
    if (this.#windowBytes < WINDOW_BYTES_MIN || this.#windowMs < WINDOW_MS_MIN) return;
    const msPerByte = this.#windowMs / this.#windowBytes;
    this.#msPerByte =
      this.#msPerByte === null ? msPerByte : this.#msPerByte + EWMA_SHARE * (msPerByte - this.#msPerByte);
    this.#windowBytes = 0;
    this.#windowMs = 0;
  }
}
