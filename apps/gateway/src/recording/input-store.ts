/** A folder of recorded inputs: bodies of predict requests, one a file, each there whole or not at all. */
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { MeshError, type NamedTensors } from '@shoal/protocol';
import { writePredictRequest } from '../json/predict-response.ts';

/** All recorded files of a model together: a hundred pictures of 299x299x3. */
const RECORDED_BYTES_MAX = 256 * 2 ** 20;
const FILE = /^recorded-(\d{1,4})\.json$/;
/** Inputs are their senders' own: for the user alone that the mesh runs as. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export class InputStore {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #bytesBySlot = new Map<number, number>();

  constructor(folder: string, bytesMax: number = RECORDED_BYTES_MAX) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
  }

  /** Files that were recorded, now or by an earlier run. */
  get count(): number {
    return this.#bytesBySlot.size;
  }

  /** Makes the folder if there is none, and counts what is there. @throws Node's error where that cannot be done */
  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
    for (const name of await readdir(this.#folder)) {
      const slot = FILE.exec(name)?.[1];
      if (slot !== undefined) this.#bytesBySlot.set(Number(slot), (await stat(join(this.#folder, name))).size);
    }
  }

  /**
   * Writes a request's inputs in the place of what the slot had.
   * @throws MeshError TOO_LARGE where all together would take too much; Node's error where it cannot be written
   */
  async put(slot: number, inputs: NamedTensors): Promise<void> {
    const file = join(this.#folder, `recorded-${String(slot).padStart(4, '0')}.json`);
    const part = `${file}.part`;
    let roomBytes = this.#bytesMax + (this.#bytesBySlot.get(slot) ?? 0);
    for (const bytes of this.#bytesBySlot.values()) roomBytes -= bytes;
    const limit = this.#bytesMax;
    let written = 0;
    const pieces = async function* (): AsyncGenerator<Buffer, void> {
      for (const text of writePredictRequest(inputs)) {
        // Whoever waits for an answer comes first.
        await setImmediate();
        const piece = Buffer.from(text);
        written += piece.length;
        if (written > roomBytes)
          throw new MeshError('TOO_LARGE', `recorded inputs would take more than ${limit} bytes`);
        yield piece;
      }
    };
    try {
      await writeFile(part, pieces(), { mode: FILE_MODE });
      await rename(part, file);
      this.#bytesBySlot.set(slot, written);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }
}
