/** What the clauses run against: a coordinator, two nodes over WebRTC, the gateway, sample models and small ones. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway, type Gateway, type GatewayOptions } from '@shoal/gateway';
import {
  GrpcClient,
  HttpClient,
  type HttpCall,
  type HttpReply,
  type Message,
  type RpcOptions,
  type RpcReply,
} from '@shoal/gateway/testing';
import { connect, type Mesh } from '@shoal/mesh/client';
import { contribute } from '@shoal/mesh/node';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { modelConfig } from '../model-config.ts';
import { GRAPH_MODELS, writeGraphModel } from './graph-models.ts';

const SAMPLES = fileURLToPath(new URL('../../../../samples/models', import.meta.url));
const SAMPLE_MODELS = ['half_plus_two', 'my_model'];
const NODES = ['one', 'two'];

export interface Scene {
  readonly coordinator: Coordinator;
  readonly mesh: Mesh;
  readonly gateway: Gateway;
  /** The model repository: a clause that changes it does so under a model name of its own. */
  readonly modelsFolder: string;
  /** @param path sent as it is */
  readonly http: (path: string, call?: HttpCall) => Promise<HttpReply>;
  /** POST of a body to `/v1/models/<path>`. */
  readonly post: (path: string, body: string | Uint8Array, headers?: Record<string, string>) => Promise<HttpReply>;
  /** A call by the client's own definitions, such as `PredictionService/Predict`, with a deadline of 10 s. */
  readonly grpc: (method: string, request: Message, options?: RpcOptions) => Promise<RpcReply>;
  /** The same to another gateway. */
  readonly grpcOf: (gateway: Gateway, method: string, request: Message, options?: RpcOptions) => Promise<RpcReply>;
  /** Another gateway of the same mesh, for the length of `use`. */
  readonly withGateway: (options: Partial<GatewayOptions>, use: (gateway: Gateway) => Promise<void>) => Promise<void>;
  /** Resolves once this version, or any of the model, is held by every node. */
  readonly untilServed: (model: string, version?: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startScene(): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-conformance-'));
  const modelsFolder = join(folder, 'models');
  for (const name of SAMPLE_MODELS) await cp(join(SAMPLES, name), join(modelsFolder, name), { recursive: true });
  for (const [name, spec] of Object.entries(GRAPH_MODELS)) await writeGraphModel(modelsFolder, name, 1, spec);
  const coordinator = await startCoordinator({
    host: '127.0.0.1',
    port: 0,
    modelsFolder,
    stateFolder: join(folder, 'state'),
  });
  const invite = await coordinator.invite('node', 600);
  const nodes = await Promise.all(
    NODES.map((name) =>
      contribute({ invite, url: coordinator.url, name, backend: 'wasm', cacheFolder: join(folder, 'cache', name) }),
    ),
  );
  const mesh = await connect({ url: coordinator.url, token: await coordinator.invite('client', 600) });
  const open = (options: Partial<GatewayOptions>): Promise<Gateway> =>
    startGateway({
      mesh,
      models: async () => coordinator.versions.versions(),
      reload: (models) => coordinator.versions.supersede(models.map(modelConfig)),
      host: '127.0.0.1',
      restPort: 0,
      grpcPort: 0,
      ...options,
    });
  const gateway = await open({});
  const http = new HttpClient(gateway.restUrl);
  const grpc = new GrpcClient(gateway.grpcAddress ?? '');
  const scene: Scene = {
    coordinator,
    mesh,
    gateway,
    modelsFolder,
    http: (path, call) => http.call(path, call),
    post: (path, body, headers) => http.post(`/v1/models/${path}`, body, headers),
    grpc: (method, request, options) => grpc.call(method, request, options),
    grpcOf: async (other, method, request, options) => {
      const client = new GrpcClient(other.grpcAddress ?? '');
      try {
        return await client.call(method, request, options);
      } finally {
        client.close();
      }
    },
    withGateway: async (options, use) => {
      const other = await open(options);
      try {
        await use(other);
      } finally {
        await other.close();
      }
    },
    untilServed: async (model, version) => {
      const isServed = (): boolean =>
        coordinator
          .models()
          .some(
            (view) =>
              view.model === model && (version ?? view.version) === view.version && view.replicas === NODES.length,
          );
      while (!isServed()) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    close: async () => {
      http.close();
      grpc.close();
      await gateway.close();
      await mesh.close();
      for (const node of nodes) await node.stop();
      await coordinator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  for (const name of [...SAMPLE_MODELS, ...Object.keys(GRAPH_MODELS)]) await scene.untilServed(name);
  return scene;
}
