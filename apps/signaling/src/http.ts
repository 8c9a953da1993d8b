/** The coordinator's HTTP side: pages, health, metrics, model files, the admin API. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import fastifyStatic from '@fastify/static';
import { MeshError, parseWith, PROTOCOL_VERSION, versionSchema, type ReasonCode, type Role } from '@shoal/protocol';
import { modelKey, placementView } from '@shoal/scheduling';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import * as z from 'zod/mini';
import type { Admission } from './admission.ts';
import { clientViews, modelViews, nodeViews, unreadyModels } from './admin-views.ts';
import type { Hub } from './hub.ts';
import type { Metrics } from './metrics.ts';
import type { Repository } from './repository.ts';
import type { VersionAdmin } from './version-admin.ts';

const INVITE_SECONDS_MAX = 30 * 24 * 3600;

/** Scripts of our own alone; WebAssembly for the wasm backend; styles that Lit adopts. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self' ws: wss:",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export interface SamplePicture {
  readonly name: string;
  readonly path: string;
  readonly licence: string;
  readonly alt: string;
}

export interface HttpParts {
  readonly admission: Admission;
  readonly repository: Repository;
  readonly versions: VersionAdmin;
  readonly metrics: Metrics;
  readonly mesh: { readonly name: string; readonly description: string };
  /** Folder of the built pages; without it the coordinator serves no pages. */
  readonly pagesFolder: string | undefined;
  readonly pictures: readonly SamplePicture[];
  readonly hub: () => Hub;
  readonly https?: { readonly key: string; readonly cert: string } | undefined;
}

export async function createHttp(parts: HttpParts): Promise<FastifyInstance> {
  const options = { logger: false, forceCloseConnections: true } as const;
  const app = (
    parts.https === undefined ? fastify(options) : fastify({ ...options, https: parts.https })
  ) as FastifyInstance;
  app.setErrorHandler((error, _request, reply) => sendError(reply, error));
  app.setNotFoundHandler((request, reply) => {
    reply.code(404).send({
      error: { code: 'PEER_UNKNOWN', reason: `no such path: ${request.method} ${request.url.split('?')[0] ?? ''}` },
    });
  });
  await routePages(app, parts);
  routeHealth(app, parts);
  routeModels(app, parts);
  routeSamples(app, parts);
  routeApi(app, parts);
  return app;
}

async function routePages(app: FastifyInstance, { pagesFolder }: HttpParts): Promise<void> {
  if (pagesFolder === undefined) return;
  await app.register(fastifyStatic, {
    root: pagesFolder,
    index: ['index.html'],
    setHeaders: (reply, path) => {
      reply.header('x-content-type-options', 'nosniff');
      if (path.endsWith('.html')) {
        reply.header('content-security-policy', CONTENT_SECURITY_POLICY);
        reply.header('referrer-policy', 'no-referrer');
        reply.header('cache-control', 'no-cache');
      } else if (path.includes('/assets/')) {
        reply.header('cache-control', 'public, max-age=31536000, immutable');
      }
    },
  });
  for (const page of ['playground', 'admin']) app.get(`/${page}`, (_request, reply) => reply.sendFile(`${page}.html`));
}

function routeHealth(app: FastifyInstance, parts: HttpParts): void {
  app.get('/healthz', () => ({ status: 'up' }));
  app.get('/readyz', (_request, reply) => {
    const { state } = parts.hub();
    const reasons = unreadyModels(state, parts.repository);
    reply
      .code(reasons.length === 0 ? 200 : 503)
      .send({ ready: reasons.length === 0, models: parts.repository.models.size, reasons });
  });
  app.get('/metrics', async (request, reply) => {
    if (!isLoopback(request)) await authorize(parts, request, ['admin']);
    reply.type(parts.metrics.registry.contentType).send(await parts.metrics.registry.metrics());
  });
}

/** Model files: byte ranges, entity tags, and caching without end, for nodes check digests anyway. */
function routeModels(app: FastifyInstance, { repository, metrics, hub }: HttpParts): void {
  app.get<{ Params: { model: string; version: string; file: string } }>(
    '/models/:model/:version/:file',
    async (request, reply) => {
      const { model, version, file } = request.params;
      const found = /^\d{1,15}$/.test(version) ? repository.find(model, Number(version)) : undefined;
      if (found === undefined) throw new MeshError('VERSION_NOT_FOUND', `no model ${model} with version ${version}`);
      if (file === 'manifest.json') {
        return reply
          .type('application/json')
          .header('etag', `"${found.manifestDigest}"`)
          .header('cache-control', 'no-cache')
          .send(found.manifestJson);
      }
      if (!found.files.has(file))
        throw new MeshError('VERSION_NOT_FOUND', `${modelKey(model, found.manifest.version)} has no file "${file}"`);
      const path = join(found.folder, file);
      const { size, mtimeMs } = await stat(path);
      const etag = `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"`;
      reply
        .header('accept-ranges', 'bytes')
        .header('etag', etag)
        .header('cache-control', 'public, max-age=31536000, immutable');
      reply.type('application/octet-stream');
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      const range = parseRange(request.headers.range, size);
      if (range === 'unsatisfiable') return reply.code(416).header('content-range', `bytes */${size}`).send();
      const [start, end] = range ?? [0, size];
      if (range !== undefined) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`);
      reply.header('content-length', end - start);
      metrics.modelBytes.inc({ model }, end - start);
      hub().shards.sent(modelKey(model, found.manifest.version), file, start, end);
      return reply.send(size === 0 ? Buffer.alloc(0) : createReadStream(path, { start, end: end - 1 }));
    },
  );
}

/** One byte range (RFC 9110, 14.2) as `[start, end)`; several ranges are answered by the whole. */
export function parseRange(header: string | undefined, size: number): [number, number] | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return start < end ? [start, end] : 'unsatisfiable';
}

function routeSamples(app: FastifyInstance, { pictures }: HttpParts): void {
  const byFile = new Map(pictures.map((picture) => [basename(picture.path), picture]));
  app.get('/samples/pictures.json', () =>
    [...byFile].map(([file, { name, alt, licence }]) => ({ name, alt, licence, url: `/samples/pictures/${file}` })),
  );
  app.get<{ Params: { file: string } }>('/samples/pictures/:file', (request, reply) => {
    const picture = byFile.get(request.params.file);
    if (picture === undefined) throw new MeshError('MODEL_NOT_FOUND', `no picture "${request.params.file}"`);
    const type = picture.path.endsWith('.png') ? 'image/png' : 'image/jpeg';
    return reply.type(type).header('cache-control', 'public, max-age=3600').send(createReadStream(picture.path));
  });
}

function routeApi(app: FastifyInstance, parts: HttpParts): void {
  const only = (...roles: Role[]) => ({ preHandler: (request: FastifyRequest) => authorize(parts, request, roles) });
  const { mesh, repository } = parts;
  app.get('/api/v1/mesh', () => {
    const { state } = parts.hub();
    const models = [...state.models.values()].map(({ info }) => ({
      model: info.model,
      version: info.version,
      weightBytes: info.weightBytes,
    }));
    const nodes = [...state.peers.values()].filter((peer) => peer.profile !== null).length;
    return { ...mesh, models, nodes, protocol: PROTOCOL_VERSION };
  });
  app.get('/api/v1/models', only('client', 'admin'), () => ({ models: modelViews(parts.hub().state, repository) }));
  routeVersions(app, parts.versions, only('admin'));
  app.get('/api/v1/nodes', only('admin'), () => {
    const { state, shards } = parts.hub();
    return { nodes: nodeViews(state, shards), serverTimeMs: Date.now() };
  });
  app.get('/api/v1/shards', only('admin'), () => parts.hub().shards.view());
  app.get('/api/v1/clients', only('admin'), () => ({ clients: clientViews(parts.hub().state) }));
  app.get('/api/v1/placement', only('admin'), () => {
    const { state } = parts.hub();
    return { placements: [...state.models.keys()].map((key) => placementView(state, key, Date.now())) };
  });
  const inviteSchema = z.strictObject({
    role: z.enum(['node', 'client']),
    seconds: z.int().check(z.positive(), z.maximum(INVITE_SECONDS_MAX)),
  });
  app.post('/api/v1/invites', only('admin'), async (request) => {
    const parsed = inviteSchema.safeParse(request.body);
    if (!parsed.success)
      throw new MeshError(
        'BAD_INPUT',
        `role must be node or client, seconds a whole number from 1 to ${INVITE_SECONDS_MAX}`,
      );
    return { invite: await parts.admission.invite(parsed.data.role, parsed.data.seconds) };
  });
}

interface OneModel {
  readonly Params: { readonly model: string };
}

function routeVersions(
  app: FastifyInstance,
  versions: VersionAdmin,
  admin: { readonly preHandler: (request: FastifyRequest) => Promise<void> },
): void {
  app.get('/api/v1/versions', admin, () => ({ models: versions.views() }));
  app.get<OneModel>('/api/v1/models/:model', admin, ({ params }) => versions.view(params.model));
  app.patch<OneModel>('/api/v1/models/:model', admin, ({ params, body }) => versions.change(params.model, body));
  const rollbackSchema = z.optional(z.nullable(z.strictObject({ to: z.optional(versionSchema) })));
  app.post<OneModel>('/api/v1/models/:model/rollback', admin, ({ params, body }) => {
    const order = parseWith(rollbackSchema, body, 'rollback', 'BAD_INPUT');
    return versions.rollBack(params.model, order?.to);
  });
  app.post('/api/v1/reload', admin, async () => {
    await versions.reload();
    return { reloaded: true };
  });
}

async function authorize({ admission }: HttpParts, request: FastifyRequest, roles: readonly Role[]): Promise<void> {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  await admission.authorize(scheme?.toLowerCase() === 'bearer' ? token : undefined, roles);
}

const isLoopback = (request: FastifyRequest): boolean => /^(::1|(::ffff:)?127\.)/.test(request.ip);

const STATUS_BY_CODE: Partial<Record<ReasonCode, number>> = {
  INVITE_INVALID: 401,
  INVITE_EXPIRED: 401,
  ROLE_NOT_ALLOWED: 403,
  MODEL_NOT_FOUND: 404,
  VERSION_NOT_FOUND: 404,
  VERSION_NOT_AVAILABLE: 409,
  BAD_INPUT: 400,
  TOO_LARGE: 413,
};

function sendError(reply: FastifyReply, error: unknown): void {
  const { code, reason, hint } = MeshError.from(error);
  const given = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
  reply.code(STATUS_BY_CODE[code] ?? given).send({ error: { code, reason, hint } });
}
