/** The HTTP server around the REST API. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { errorText } from './rest-answer.ts';
import type { RestApi } from './rest-api.ts';

/** A whole request, body included, must have come in by then. */
const REQUEST_TIMEOUT_MS = 300_000;
/** Longer than the idle time of usual load balancers, so that it is they who close. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

export function createServer(api: RestApi): FastifyInstance {
  const app = fastify({
    logger: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    clientErrorHandler: refuseConnection,
    frameworkErrors: (_error, request, reply) => {
      const { method = '', url = '' } = request.raw;
      const body = errorText(`Malformed request: ${method} ${url.slice(0, 256)}`);
      reply.hijack();
      reply.raw.writeHead(400, { 'content-type': 'application/json' }).end(body);
    },
  });
  // Paths are matched by the contract's own regular expressions, and bodies are read by the API within its limits,
  // whatever their content type: all requests are answered before Fastify would look for a route or a parser.
  app.addHook('onRequest', async (request, reply) => {
    const answer = await api.answer(request.raw, whenGone(reply.raw));
    void reply.code(answer.status).headers({ 'content-type': 'application/json', ...answer.headers });
    return reply.send(typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body);
  });
  return app;
}

/** Aborted when the client closes its connection before the answer is out. */
function whenGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** What is no HTTP at all gets an answer of the same form, and the connection is closed. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason, text] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'The request headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', `The request did not come in within ${REQUEST_TIMEOUT_MS} ms`]
        : [400, 'Bad Request', 'Malformed request: it is not HTTP'];
  const body = errorText(text);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
