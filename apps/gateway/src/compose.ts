/** The gateway put together. */
import { availableParallelism } from 'node:os';
import type { AddressInfo } from 'node:net';
import { systemClock, systemRandom } from '@shoal/base/system';
import type { Mesh } from '@shoal/mesh/client';
import { Batcher } from './batching/batcher.ts';
import { BodyBudget } from './body-budget.ts';
import { DecodePool } from './decode-pool.ts';
import type { ReloadModels } from './grpc/model-config.ts';
import { openGrpc } from './grpc/open.ts';
import type { GrpcServer } from './grpc/server.ts';
import { unbatched } from './inference.ts';
import { GatewayMetrics } from './metrics/gateway-metrics.ts';
import type { ModelDirectory } from './model-directory.ts';
import { ModelHandles } from './model-handles.ts';
import { InputRecorder, type RecordingOrder } from './recording/input-recorder.ts';
import { InputStore } from './recording/input-store.ts';
import { RestApi } from './rest-api.ts';
import { createServer } from './server.ts';
import { Shadowing } from './traffic/shadowing.ts';
import type { ShadowComparison } from './traffic/shadow-record.ts';

const MIB = 1024 * 1024;
/** Room for twenty pictures of 224x224x3 as JSON. */
const BODY_BYTES_MAX = 64 * MIB;
/** How many bodies of the largest size may be held at once. */
const BODIES_HELD_MAX = 4;
/** TensorFlow Serving's `--rest_api_timeout_in_ms`. */
const TIMEOUT_MS = 30_000;
/** Decoding more threads' worth at once only takes time from the rest. */
const DECODE_THREADS_MAX = 4;

/** Requests under way have this long to end when the gateway closes. */
const CLOSE_GRACE_MS = 5000;

export interface GatewayOptions {
  /** The mesh to serve from; stays the caller's to close. */
  readonly mesh: Mesh;
  readonly models: ModelDirectory;
  readonly host: string;
  /** 0 takes a free one. */
  readonly restPort: number;
  /** 0 takes a free one; without it there is no gRPC. */
  readonly grpcPort?: number;
  /** What `HandleReloadConfigRequest` does; without it that is refused as UNIMPLEMENTED. */
  readonly reload?: ReloadModels;
  /** Of which models' requests inputs are to be kept for calibration, and where; of none without it. */
  readonly recording?: (model: string) => RecordingOrder | undefined;
  readonly log?: (line: string) => void;
  /** Of one request body, unpacked, or of one gRPC message; 64 MiB by default. */
  readonly bodyBytesMax?: number;
  /** From a request's body to its result, 30,000 ms by default. */
  readonly timeoutMs?: number;
  /** Lets pages of any origin call, off by default. */
  readonly cors?: boolean;
}

export interface Gateway {
  /** Such as `http://127.0.0.1:8501`. */
  readonly restUrl: string;
  /** Such as `127.0.0.1:8500`; null without gRPC. */
  readonly grpcAddress: string | null;
  /** How shadow versions have done beside those that answered, since the start. */
  comparisons(): ShadowComparison[];
  /** Of how many requests of a model inputs are kept for calibration. */
  recorded(model: string): number;
  /** Takes no new requests, ends those under way with their results, then closes. */
  close(): Promise<void>;
}

/** @throws Node's error for a port that is taken, which names it */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { mesh, models, host, restPort, cors = false } = options;
  const { bodyBytesMax = BODY_BYTES_MAX, timeoutMs = TIMEOUT_MS } = options;
  const handles = new ModelHandles(mesh, systemRandom);
  const decoder = new DecodePool(Math.min(DECODE_THREADS_MAX, Math.max(1, availableParallelism() - 1)));
  const budget = new BodyBudget(BODIES_HELD_MAX * bodyBytesMax);
  const clock = systemClock;
  const metrics = new GatewayMetrics({
    mesh,
    queues: () => batcher.depths(),
    comparisons: () => shadowing.comparisons(),
  });
  const batcher = new Batcher({
    clock,
    unbatched: unbatched((model, prediction) => metrics.predicted(model, prediction)),
    onPrediction: (model, prediction) => metrics.predicted(model, prediction),
    onBatch: (model, threadPoolName, batch) => metrics.batched(model, threadPoolName, batch),
  });
  const shadowing = new Shadowing({ inference: batcher, handles, clock, random: systemRandom });
  const inference = new InputRecorder({
    inference: shadowing,
    random: systemRandom,
    order: options.recording ?? (() => undefined),
    store: (folder) => new InputStore(folder),
    log: options.log ?? (() => {}),
  });
  const api = new RestApi({
    mesh,
    handles,
    models,
    decoder,
    inference,
    metrics,
    budget,
    clock,
    bodyBytesMax,
    timeoutMs,
    cors,
  });
  const app = createServer(api);
  let grpc: GrpcServer | null = null;
  const close = async (): Promise<void> => {
    // A client that neither reads nor ends would hold the door open for as long as a request may take.
    const force = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS);
    await Promise.all([app.close(), grpc?.close()]);
    clearTimeout(force);
    shadowing.close();
    batcher.close();
    handles.close();
    await decoder.close();
  };
  try {
    await app.listen({ host, port: restPort });
    if (options.grpcPort !== undefined) {
      const { grpcPort: port, reload } = options;
      grpc = await openGrpc({
        handles,
        models,
        inference,
        metrics,
        reload,
        budget,
        clock,
        host,
        port,
        bodyBytesMax,
        timeoutMs,
      });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const shownHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const authority = shownHost.includes(':') ? `[${shownHost}]` : shownHost;
  return {
    restUrl: `http://${authority}:${port}`,
    grpcAddress: grpc === null ? null : `${authority}:${grpc.port}`,
    comparisons: () => shadowing.comparisons(),
    recorded: (model) => inference.kept(model),
    close,
  };
}
