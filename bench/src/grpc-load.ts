/** A process that calls a gateway over gRPC at a steady rate, as one that knows nothing of the mesh would. */
import { GrpcClient } from '@shoal/gateway/testing';
import { onSchedule } from './on-schedule.ts';

export interface GrpcLoadOrder {
  readonly address: string;
  readonly calls: number;
  readonly perSecond: number;
}

/** Latencies of all calls, or what went wrong with one. */
export type GrpcLoadReport = { readonly latenciesMs: readonly number[] } | { readonly failure: string };

const report = (message: GrpcLoadReport): void => void process.send?.(message);

process.on('message', ({ address, calls, perSecond }: GrpcLoadOrder) => {
  const client = new GrpcClient(address);
  const request = {
    model_spec: { name: 'half_plus_two' },
    inputs: { x: { dtype: 1, tensor_shape: { dim: [{ size: 1 }] }, float_val: [1] } },
  };
  onSchedule(calls, perSecond, async () => {
    const reply = await client.call('PredictionService/Predict', request);
    if (!('response' in reply)) throw new Error(`code ${reply.code}: ${reply.details}`);
  })
    .then(
      (latenciesMs) => report({ latenciesMs }),
      (error: unknown) => report({ failure: String(error) }),
    )
    .finally(() => client.close());
});
