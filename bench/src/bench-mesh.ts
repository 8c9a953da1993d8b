/** A mesh to measure: a coordinator in this process, on a free port, with its files in a folder that goes with it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, HttpPeerListener, type Mesh, type MeshModel } from '@shoal/mesh/client';
import { startCoordinator } from '@shoal/signaling';

const INVITE_SECONDS = 3600;
const SERVED_DEADLINE_MS = 60_000;

export interface BenchMesh {
  readonly url: string;
  /** Of a node. */
  readonly invite: string;
  /** For files that should go with the mesh. */
  readonly folder: string;
  /** Of a client. */
  readonly token: string;
  /** As the gateway does it: nodes come to it on the coordinator's port. */
  connect(): Promise<Mesh>;
  /** As a client elsewhere does it: by WebRTC. */
  connectByWebRtc(): Promise<Mesh>;
  close(): Promise<void>;
}

export interface BenchMeshOptions {
  /** Fills the model repository. */
  readonly prepareModels: (modelsFolder: string) => Promise<unknown>;
  readonly pagesFolder?: string;
  /** Where the coordinator listens, 127.0.0.1 by default. */
  readonly host?: string;
  /** How soon placements change. */
  readonly timing?: NonNullable<Parameters<typeof startCoordinator>[0]['timing']>;
}

export async function startBenchMesh({
  prepareModels,
  pagesFolder,
  host = '127.0.0.1',
  timing,
}: BenchMeshOptions): Promise<BenchMesh> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const modelsFolder = join(folder, 'models');
    await prepareModels(modelsFolder);
    const coordinator = await startCoordinator({
      host,
      port: 0,
      modelsFolder,
      stateFolder: join(folder, 'state'),
      pagesFolder,
      timing,
    });
    const { url } = coordinator;
    const listener = new HttpPeerListener(coordinator.server);
    const token = await coordinator.invite('client', INVITE_SECONDS);
    return {
      url,
      folder,
      token,
      invite: await coordinator.invite('node', INVITE_SECONDS),
      connect: () => connect({ url, token, listener }),
      connectByWebRtc: () => connect({ url, token }),
      close: async () => {
        listener.close();
        await coordinator.close();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/** Names of the nodes that serve a model now. */
export const servingNames = (model: MeshModel): string[] =>
  model.placement.stages.flatMap((stage) => stage.replicas.map((replica) => replica.name));

/** Waits until exactly these nodes serve a model. @throws Error after a minute */
export async function untilServedBy(model: MeshModel, names: readonly string[]): Promise<void> {
  const wanted = names.toSorted().join(', ');
  const served = (): string => servingNames(model).toSorted().join(', ');
  if (served() === wanted) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (): void => {
      stopListening();
      clearTimeout(timer);
    };
    const stopListening = model.onPlacement(() => {
      if (served() !== wanted) return;
      settle();
      resolve();
    });
    const timer = setTimeout(() => {
      settle();
      reject(new Error(`${model.info.model} is served by ${served() || 'nobody'}, expected ${wanted}`));
    }, SERVED_DEADLINE_MS);
  });
}
