/** `shoal serve` put together: coordinator, pages, gateway, embedded nodes, sample models. */
import { access, constants, mkdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { startGateway, type Gateway, type ReloadModels } from '@shoal/gateway';
import { connect, HttpPeerListener, type Mesh } from '@shoal/mesh/client';
import { prepareSampleModels, samplePictures } from '@shoal/samples';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { startEmbeddedNodes, type EmbeddedNodes } from './embedded-nodes.ts';
import { UsageError } from './flags.ts';
import type { ServeOptions } from './options.ts';
import { modelConfig } from './model-config.ts';
import { ensurePages } from './pages.ts';

const DAY_SECONDS = 24 * 3600;

export interface Shoal {
  readonly coordinator: Coordinator;
  readonly gateway: Gateway;
  /** Where people and programs find it. */
  readonly links: {
    readonly join: string;
    readonly playground: string;
    readonly admin: string;
    readonly rest: string;
    /** Such as `localhost:8500`. */
    readonly grpc: string;
  };
  close(): Promise<void>;
}

/** Starts everything; nothing is left running when a part cannot start. @throws UsageError for what the user can mend */
export async function startShoal(options: ServeOptions, log: (line: string) => void): Promise<Shoal> {
  const { stateFolder, host, port } = options;
  await mkdir(stateFolder, { recursive: true });
  const modelsFolder = await modelsOf(options, log);
  const pagesFolder = await ensurePages(log);
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const coordinator = await clearly(
      () => `--port ${port}`,
      () =>
        startCoordinator({
          host,
          port,
          modelsFolder,
          stateFolder: join(stateFolder, 'state'),
          pagesFolder,
          pictures: samplePictures(),
          origins: options.origins,
          log,
        }),
    );
    closing.push(() => coordinator.close());
    const nodes = await embed(options, coordinator, log);
    closing.push(() => nodes.stop());
    // The gateway lives in the coordinator's process: nodes come to it on the port that they know already.
    const listener = new HttpPeerListener(coordinator.server);
    closing.push(async () => listener.close());
    const token = await coordinator.invite('client', 365 * DAY_SECONDS);
    const mesh = await connect({ url: coordinator.url, token, listener });
    closing.push(() => mesh.close());
    const gateway = await openGateway(mesh, coordinator, options, log);
    closing.push(() => gateway.close());
    coordinator.versions.compareBy(() => gateway.comparisons());
    coordinator.versions.recordedBy((model) => gateway.recorded(model));
    return { coordinator, gateway, links: await linksOf(options, coordinator, gateway), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function modelsOf({ modelsFolder, stateFolder }: ServeOptions, log: (line: string) => void): Promise<string> {
  if (modelsFolder === undefined) {
    const samples = join(stateFolder, 'models');
    await prepareSampleModels(samples, { log });
    return samples;
  }
  try {
    await access(modelsFolder, constants.R_OK | constants.X_OK);
    return modelsFolder;
  } catch (error) {
    throw new UsageError(`--models ${modelsFolder} cannot be read: give a folder of <name>/<version>/model.json`, {
      cause: error,
    });
  }
}

async function embed(
  options: ServeOptions,
  coordinator: Coordinator,
  log: (line: string) => void,
): Promise<EmbeddedNodes> {
  const invite = await coordinator.invite('node', 365 * DAY_SECONDS);
  const orders = Array.from({ length: options.nodes }, (_, i) => ({
    url: coordinator.url,
    invite,
    name: `embedded-${i + 1}`,
    cacheFolder: join(options.stateFolder, 'shards'),
  }));
  return startEmbeddedNodes(orders, log);
}

function openGateway(
  mesh: Mesh,
  coordinator: Coordinator,
  { host, restPort, grpcPort }: ServeOptions,
  log: (line: string) => void,
): Promise<Gateway> {
  const { versions } = coordinator;
  const models = async () => versions.versions();
  const reload: ReloadModels = (configs) => versions.supersede(configs.map(modelConfig));
  const flagOf = (port: number): string => (port === grpcPort ? `--grpc-port ${port}` : `--rest-port ${port}`);
  return clearly(flagOf, () =>
    startGateway({
      mesh,
      host,
      restPort,
      grpcPort,
      models,
      reload,
      recording: (model) => versions.recording(model),
      log,
    }),
  );
}

async function linksOf({ host }: ServeOptions, coordinator: Coordinator, gateway: Gateway): Promise<Shoal['links']> {
  const shown = host === '0.0.0.0' || host === '::' ? lanAddress() : 'localhost';
  const url = new URL(coordinator.url);
  url.hostname = shown;
  const base = url.origin;
  const rest = new URL(gateway.restUrl);
  rest.hostname = shown;

  return {
    join: `${base}/#invite=${await coordinator.invite('node', DAY_SECONDS)}`,
    playground: `${base}/playground#token=${await coordinator.invite('client', DAY_SECONDS)}`,
    admin: `${base}/admin#token=${await coordinator.invite('admin', DAY_SECONDS)}`,
    rest: rest.origin,
    grpc: `${shown}:${gateway.grpcAddress?.split(':').at(-1)}`,
  };
}

function lanAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? 'localhost';
}

/** A port that is taken is the user's to mend, and says so. */
async function clearly<T>(flagOf: (port: number) => string, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const flag = flagOf(error instanceof Error && 'port' in error ? Number(error.port) : 0);
    if (code === 'EADDRINUSE')
      throw new UsageError(`${flag} is taken by another program: choose another, or end that one`, { cause: error });
    if (code === 'EACCES')
      throw new UsageError(`${flag} needs more rights than this user has: choose one above 1023`, { cause: error });
    if (code === 'EADDRNOTAVAIL') throw new UsageError(`--host is no address of this machine`, { cause: error });
    throw error;
  }
}
