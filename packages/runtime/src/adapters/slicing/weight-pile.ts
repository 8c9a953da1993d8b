/** Weights of a model that is being made: their manifest and their bytes, in the order of their making. */
import type { Random } from '@shoal/base';

export interface RandomModel {
  readonly json: Readonly<Record<string, unknown>>;
  readonly weightData: Uint8Array;
}

export class WeightPile {
  readonly #random: Random;
  readonly #entries: { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[] = [];
  readonly #data: Uint8Array[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** Adds a weight of numbers in [-1, 1). */
  floats(name: string, shape: readonly number[]): void {
    const count = shape.reduce((n, size) => n * size, 1);
    this.#add(
      name,
      shape,
      'float32',
      Float32Array.from({ length: count }, () => this.#random.next() * 2 - 1),
    );
  }

  scalar(name: string, value: number): void {
    this.#add(name, [], 'float32', Float32Array.of(value));
  }

  integers(name: string, shape: readonly number[], values: readonly number[]): void {
    this.#add(name, shape, 'int32', Int32Array.from(values));
  }

  /** The finished model.json, without the fields named. */
  model(json: Readonly<Record<string, unknown>>, without: readonly string[] = []): RandomModel {
    const kept = Object.entries(json).filter(([key]) => !without.includes(key));
    const weightsManifest = [{ paths: ['weights.bin'], weights: this.#entries }];
    return { json: { ...Object.fromEntries(kept), weightsManifest }, weightData: Buffer.concat(this.#data) };
  }

  #add(name: string, shape: readonly number[], dtype: string, values: Float32Array | Int32Array): void {
    this.#entries.push({ name, shape, dtype });
    this.#data.push(new Uint8Array(values.buffer));
  }
}
