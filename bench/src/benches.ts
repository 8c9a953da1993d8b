/** Every benchmark there is, in the order of the list. */
import type { Bench } from './bench.ts';
import { codec } from './codec.ts';
import { dataparallel } from './dataparallel.ts';
import { gateway } from './gateway.ts';
import { pipeline } from './pipeline.ts';
import { placement } from './placement.ts';

export const BENCHES: readonly Bench[] = [codec, dataparallel, gateway, pipeline, placement];
