/** The coordinator put together: keys, repository, sockets, HTTP. */
import { mkdir } from 'node:fs/promises';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MeshError, RELAY_PACKET_BYTES_MAX, type Role } from '@shoal/protocol';
import type { ClusterTiming } from '@shoal/scheduling';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { Server } from 'socket.io';
import { Admission } from './admission.ts';
import { modelViews, unreadyModels } from './admin-views.ts';
import { createHttp, type SamplePicture } from './http.ts';
import { Hub, type HubParts } from './hub.ts';
import { createMetrics } from './metrics.ts';
import { Repository } from './repository.ts';
import { loadSigningKeys } from './state-folder.ts';
import { VersionAdmin } from './version-admin.ts';
import { VersionDirector } from './version-director.ts';

const REPOSITORY_POLL_MS = 1000;
/** Handshakes of one address: a classroom behind one router joins at once, a guesser of invites does not get far. */
const JOINS_PER_ADDRESS = { points: 300, duration: 10 };

export interface CoordinatorOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly modelsFolder: string;
  /** Keeps the signing key between runs. */
  readonly stateFolder: string;
  readonly pagesFolder?: string | undefined;
  readonly pictures?: readonly SamplePicture[] | undefined;
  readonly mesh?: { readonly name: string; readonly description: string };
  /** Origins besides its own whose pages may join. */
  readonly origins?: readonly string[];
  readonly iceServers?: HubParts['iceServers'];
  readonly https?: { readonly key: string; readonly cert: string } | undefined;
  /** How soon placements change; tests are in a hurry. */
  readonly timing?: ClusterTiming | undefined;
  readonly log?: (line: string) => void;
}

export interface Coordinator {
  readonly url: string;
  /** For what shares its port. */
  readonly server: HttpServer;
  readonly port: number;
  /** Signs an invite that holds for `seconds`. */
  invite(role: Role, seconds: number): Promise<string>;
  /** What is served, what is not, and why. */
  models(): ReturnType<typeof modelViews>;
  /** Versions, labels, split and shadow of models: to see and to change. */
  readonly versions: VersionAdmin;
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] };
  close(): Promise<void>;
}

const MESH_DEFAULT = { name: 'shoal', description: 'A mesh of browser tabs that runs models together.' };

/** @throws MeshError MODEL_INVALID for an unreadable model folder; Node's error for a port that is taken */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { host, port, stateFolder, modelsFolder, pagesFolder, https, log = () => {} } = options;
  const mesh = options.mesh ?? MESH_DEFAULT;
  await mkdir(stateFolder, { recursive: true });
  const admission = new Admission(await loadSigningKeys(stateFolder), mesh.name);
  const metrics = createMetrics(
    () => hub.state,
    () => hub.shards.copiesMax(),
  );
  const repository = new Repository(modelsFolder, ({ model, version, error }) =>
    log(`model ${model} version ${version} is refused: ${error.message}`),
  );
  const director = new VersionDirector({ repository, mesh: () => hub, nowMs: () => performance.now(), log });
  const versions = new VersionAdmin({ repository, director, mesh: () => hub, log });
  const app = await createHttp({
    admission,
    repository,
    versions,
    metrics,
    mesh,
    pagesFolder,
    pictures: options.pictures ?? [],
    hub: () => hub,
    https,
  });
  const io = new Server(app.server, {
    serveClient: false,
    transports: ['websocket'],
    maxHttpBufferSize: 4 * RELAY_PACKET_BYTES_MAX,
    allowRequest: (request, decide) => {
      const { origin, host: ownHost } = request.headers;
      // Pages send their origin, other programs none; socket.io's CORS would not stop a WebSocket.
      const allowed = origin === undefined || hostOf(origin) === ownHost || (options.origins ?? []).includes(origin);
      decide(allowed ? null : 'ORIGIN_NOT_ALLOWED', allowed);
    },
  });
  const joins = new RateLimiterMemory(JOINS_PER_ADDRESS);
  io.use((socket, next) => {
    joins.consume(socket.handshake.address).then(
      () => next(),
      () => {
        const data = {
          code: 'RATE_LIMITED',
          reason: `more than ${JOINS_PER_ADDRESS.points} joins in ${JOINS_PER_ADDRESS.duration} s from one address`,
        };
        next(Object.assign(new Error('RATE_LIMITED'), { data }));
      },
    );
  });
  const hub: Hub = new Hub({
    io,
    admission,
    director,
    metrics,
    mesh: mesh.name,
    timing: options.timing,
    iceServers: options.iceServers ?? [],
    log,
  });
  try {
    await repository.scan();
    director.update();
    await app.listen({ host, port });
  } catch (error) {
    hub.close();
    await app.close();
    throw error;
  }
  const poll = setInterval(() => {
    repository.scan().then(
      () => director.update(),
      (error: unknown) => log(`looking for models failed: ${MeshError.from(error).message}`),
    );
  }, REPOSITORY_POLL_MS);
  const { port: boundPort } = app.server.address() as AddressInfo;
  const shownHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return {
    port: boundPort,
    server: app.server,
    url: `${https === undefined ? 'http' : 'https'}://${shownHost}:${boundPort}`,
    invite: (role, seconds) => admission.invite(role, seconds),
    models: () => modelViews(hub.state, repository),
    versions,
    readiness: () => {
      const reasons = unreadyModels(hub.state, repository).map(({ model, reason }) => `${model}: ${reason}`);
      return { ready: reasons.length === 0, reasons };
    },
    close: async () => {
      clearInterval(poll);
      hub.close();
      await io.close();
      await app.close();
    },
  };
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
