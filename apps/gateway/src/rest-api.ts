/** The REST API: one request in, one answer out, whatever happens. */
import type { IncomingMessage } from 'node:http';
import { withDeadline, type Clock } from '@shoal/base';
import type { Mesh } from '@shoal/mesh/client';
import { MeshError } from '@shoal/protocol';
import type { BodyBudget } from './body-budget.ts';
import { readBody } from './body-reader.ts';
import type { ModelDirectory } from './model-directory.ts';
import type { ModelHandles } from './model-handles.ts';
import { listAnswer, metadataAnswer, readyAnswer, statusAnswer } from './model-status.ts';
import { infer } from './infer.ts';
import type { GatewayMetrics } from './metrics/gateway-metrics.ts';
import type { Inference } from './inference.ts';
import type { Verb } from './json/infer-request.ts';
import type { CountedRequest } from './metrics/counted-request.ts';
import type { RequestDecoder } from './request-decoder.ts';
import { errorAnswer, RestError, type RestAnswer } from './rest-answer.ts';
import { parseRoute, type ModelSpec } from './route.ts';

export interface RestApiParts {
  readonly mesh: Pick<Mesh, 'state'>;
  readonly handles: ModelHandles;
  readonly models: ModelDirectory;
  readonly decoder: RequestDecoder;
  readonly inference: Inference;
  readonly metrics: GatewayMetrics;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly bodyBytesMax: number;
  readonly timeoutMs: number;
  readonly cors: boolean;
}

const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, GET',
  'access-control-allow-headers': 'Content-Type',
};

export class RestApi {
  readonly #parts: RestApiParts;

  constructor(parts: RestApiParts) {
    this.#parts = parts;
  }

  /** @param signal aborted when the client goes away */
  async answer(request: IncomingMessage, signal: AbortSignal): Promise<RestAnswer> {
    const answer = await this.#route(request, signal).catch(errorAnswer);
    return this.#parts.cors ? { ...answer, headers: { ...answer.headers, ...CORS_HEADERS } } : answer;
  }

  async #route(request: IncomingMessage, signal: AbortSignal): Promise<RestAnswer> {
    const { method = '', url = '', headers } = request;
    if (method === 'OPTIONS') return preflight(headers.origin);
    const [path = ''] = url.split('?', 1);
    const route = parseRoute(method, path);
    switch (route.type) {
      case 'infer':
        return this.#counted(route.verb, request, route.spec, signal);
      case 'status':
        return statusAnswer(route.spec, await this.#inTime(this.#parts.models(), signal));
      case 'metadata':
        return metadataAnswer((await this.#inTime(this.#parts.handles.get(route.spec), signal)).info);
      case 'list':
        return listAnswer(await this.#inTime(this.#parts.models(), signal));
      case 'ready':
        return readyAnswer(await this.#inTime(this.#parts.models(), signal), this.#parts.mesh.state === 'open');
      case 'metrics':
        return { status: 200, body: await this.#parts.metrics.text(), headers: { 'content-type': 'text/plain' } };
    }
  }

  async #counted(verb: Verb, request: IncomingMessage, spec: ModelSpec, signal: AbortSignal): Promise<RestAnswer> {
    const counted = this.#parts.metrics.begin(verb, 'REST');
    try {
      const answer = await this.#infer(verb, request, spec, signal, counted);
      counted.ended();
      return answer;
    } catch (error) {
      counted.ended(error);
      throw error;
    }
  }

  async #infer(
    verb: Verb,
    request: IncomingMessage,
    spec: ModelSpec,
    signal: AbortSignal,
    counted: CountedRequest,
  ): Promise<RestAnswer> {
    const { handles, decoder, inference, budget, bodyBytesMax, timeoutMs } = this.#parts;
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    const model = await this.#inTime(handles.chooseVersion(spec, header), signal);
    counted.model(model.info.model);
    const account = budget.open();
    // Whatever ends the wait ends the work.
    const work = new AbortController();
    try {
      const body = await readBody(request, request.headers, bodyBytesMax, account);
      const result = infer({
        verb,
        model,
        body,
        decoder,
        inference,
        counted,
        deadlineMs: timeoutMs,
        signal: work.signal,
      });
      return await this.#inTime(result, signal);
    } finally {
      work.abort();
      account.close();
    }
  }

  /** Others keep their deadlines too; this one holds even where they do not. */
  #inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, timeoutMs } = this.#parts;
    return withDeadline(work, {
      clock,
      deadlineMs: timeoutMs,
      signal,
      onDeadline: () => new MeshError('DEADLINE', `no result in ${timeoutMs} ms`),
      onAbort: () => new MeshError('CANCELLED', 'the client went away'),
    });
  }
}

function preflight(origin: string | undefined): RestAnswer {
  if (origin !== undefined && /https?:\/\//.test(origin)) return { status: 200, body: '' };
  throw new RestError(400, 'Origin header is missing in CORS preflight');
}
