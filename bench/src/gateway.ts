/** What the gateway costs whoever calls the mesh through it, and what its batching gains. */
import type { Bench } from './bench.ts';
import { addedRows } from './gateway-added.ts';
import { batchingRows } from './gateway-batching.ts';
import { gatewayGrpcRows } from './gateway-grpc.ts';
import { imageRows } from './gateway-images.ts';

export const gateway: Bench = {
  name: 'gateway',
  summary: 'REST and gRPC over a direct SDK call, pictures as JSON, batching against the best fixed size; paced nodes',
  run: async (context) => [
    ...(await addedRows(context)),
    ...(await gatewayGrpcRows(context)),
    ...(await imageRows(context)),
    ...(await batchingRows(context)),
  ],
};
