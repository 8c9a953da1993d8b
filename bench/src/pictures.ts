/** Made-up pictures that travel and compute like photographs: smooth, with grain, 256 levels a channel. */
import { seededRandom } from '@shoal/base';
import type { TensorData } from '@shoal/mesh/client';

export const PICTURE_SIDE = 224;
const CHANNELS = 3;
const WAVES = 4;
/** Amplitude of the grain, in levels. */
const GRAIN = 12;

/** Pictures of shape [1, side, side, 3], float32 of byte / 255; the same for the same seed. */
export function makePictures(count: number, seed: number, side: number = PICTURE_SIDE): TensorData[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const waves = Array.from({ length: WAVES * CHANNELS }, () => ({
      acrossRate: (random.next() - 0.5) * 0.2,
      downRate: (random.next() - 0.5) * 0.2,
      phase: random.next() * 2 * Math.PI,
    }));
    const data = new Float32Array(side * side * CHANNELS);
    for (let i = 0; i < data.length; i++) {
      const channel = i % CHANNELS;
      const across = Math.floor(i / CHANNELS) % side;
      const down = Math.floor(i / CHANNELS / side);
      let level = 128 + GRAIN * (random.next() - 0.5);
      for (let wave = channel; wave < waves.length; wave += CHANNELS) {
        const { acrossRate = 0, downRate = 0, phase = 0 } = waves[wave] ?? {};
        level += (120 / WAVES) * Math.sin(acrossRate * across + downRate * down + phase);
      }
      data[i] = Math.min(255, Math.max(0, Math.round(level))) / 255;
    }
    return { dtype: 'float32', shape: [1, side, side, CHANNELS], data };
  });
}
