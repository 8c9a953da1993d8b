/** Images per second of a model in steady state, and what they cost. */
import type { MeshModel, TensorData } from '@shoal/mesh/client';
import { formatFigure } from './table.ts';

const WINDOW_MS = 5000;

export interface Throughput {
  readonly imagesPerSecond: number;
  /** Mean time that one image's run took in its tab. */
  readonly computeMs: number;
  /** CPU time of the calling process, per image; coordinator included. */
  readonly clientCpuMs: number;
}

/** Images per second in steady state: a stream that neither begins nor ends within the window. */
export async function measureThroughput(
  model: MeshModel,
  pictures: readonly TensorData[],
  warmUpMs: number,
  windowMs: number = WINDOW_MS,
): Promise<Throughput> {
  const warmAtMs = performance.now() + warmUpMs;
  let window: { readonly startMs: number; readonly cpu: NodeJS.CpuUsage } | undefined;
  let images = 0;
  let computeMs = 0;
  for await (const { microbatches } of model.predictStreamTraced(endlessly(pictures), { ordered: false })) {
    const nowMs = performance.now();
    if (window === undefined) {
      if (nowMs >= warmAtMs) window = { startMs: nowMs, cpu: process.cpuUsage() };
      continue;
    }
    images += 1;
    // A microbatch may have carried other images too.
    for (const { stages, carriedRows } of microbatches) {
      for (const stage of stages) computeMs += stage.computeMs / carriedRows;
    }
    if (nowMs - window.startMs < windowMs) continue;
    const { user, system } = process.cpuUsage(window.cpu);
    return {
      imagesPerSecond: (1000 * images) / (nowMs - window.startMs),
      computeMs: computeMs / images,
      clientCpuMs: (user + system) / 1000 / images,
    };
  }
  throw new Error('the stream ended though its input does not');
}

function* endlessly(pictures: readonly TensorData[]): Generator<TensorData, never> {
  for (;;) yield* pictures;
}

const mean = (values: readonly Throughput[], of: keyof Throughput): number =>
  values.reduce((sum, value) => sum + value[of], 0) / values.length;

const meanOf = (values: readonly Throughput[]): Throughput => ({
  imagesPerSecond: mean(values, 'imagesPerSecond'),
  computeMs: mean(values, 'computeMs'),
  clientCpuMs: mean(values, 'clientCpuMs'),
});

export const describeThroughput = ({ imagesPerSecond, computeMs, clientCpuMs }: Throughput): string =>
  `${formatFigure(imagesPerSecond)} images/s, ${formatFigure(computeMs)} ms of computing and` +
  ` ${formatFigure(clientCpuMs)} ms of the client's CPU an image`;

/** Each round of two tabs over the mean of the single tabs before and after it. */
export const speedupsOf = (singles: readonly Throughput[], pairs: readonly Throughput[]): number[] =>
  pairs.map((pair, round) => {
    const around = singles.slice(round, round + 2).map((single) => single.imagesPerSecond);
    return (pair.imagesPerSecond * around.length) / around.reduce((sum, value) => sum + value, 0);
  });

export const noteOf = (singles: readonly Throughput[], pairs: readonly Throughput[]): string =>
  `One tab: ${describeThroughput(meanOf(singles))}; two: ${describeThroughput(meanOf(pairs))}`;
