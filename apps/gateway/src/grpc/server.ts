/** The gRPC server around the API: deadlines, cancellation, statuses, and what every gRPC server is expected to have. */
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type handleUnaryCall,
  type MethodDefinition,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { withDeadline, type Clock } from '@shoal/base';
import { MeshError } from '@shoal/protocol';
import { HealthImplementation } from 'grpc-health-check';
import type { BodyBudget } from '../body-budget.ts';
import type { CountedRequest } from '../metrics/counted-request.ts';
import type { GatewayMetrics } from '../metrics/gateway-metrics.ts';
import { MODEL_SERVICE, methodsOf, PREDICTION_SERVICE } from './definitions.ts';
import type { CallContext, GrpcApi } from './grpc-api.ts';
import { serviceError } from './rpc-error.ts';

/** The mesh takes no longer ones. */
const DEADLINE_MS_MAX = 600_000;
/** A client that went without a word is noticed within about this time. */
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Calls of one connection at once; each may hold a message of the largest size. */
const STREAMS_MAX = 1000;
/** Calls under way have this long to end when the server closes. */
const CLOSE_GRACE_MS = 5000;

export interface GrpcServerOptions {
  readonly api: GrpcApi;
  readonly definitions: PackageDefinition;
  readonly budget: BodyBudget;
  readonly metrics: GatewayMetrics;
  readonly clock: Clock;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Of one message, and of one tensor that it unfolds to. */
  readonly messageBytesMax: number;
  /** For calls that name no deadline. */
  readonly timeoutMs: number;
}

export interface GrpcServer {
  readonly port: number;
  /** Takes no new calls, ends those under way with their results, then closes. */
  close(): Promise<void>;
}

/** As TensorFlow Serving names them, and by their full names, as most tools do. */
const HEALTH_NAMES = ['', 'ModelService', 'PredictionService', MODEL_SERVICE, PREDICTION_SERVICE];

/** The methods whose calls are requests of a model. */
const INFERENCES: ReadonlySet<string> = new Set(['Predict', 'Classify', 'Regress', 'MultiInference']);
const UNCOUNTED: CountedRequest = { model: () => {}, ran: () => {}, ended: () => {} };

type Method = (request: Buffer, call: CallContext) => Promise<object>;

/** @throws Error with the code EADDRINUSE for a port that is taken */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { api, definitions, host, port, messageBytesMax } = options;
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': STREAMS_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // Another program on the same port is an error, not a partner.
    'grpc.so_reuseport': 0,
  });
  const add = (service: string, methods: Readonly<Record<string, Method>>): void => {
    const definition = Object.fromEntries(
      Object.entries(methodsOf(definitions, service)).map(([name, method]) => [name, raw(method)]),
    );
    const handlers = Object.entries(methods).map(([name, method]) => [name, unary(name, method, options)] as const);
    server.addService(definition, Object.fromEntries(handlers) as UntypedServiceImplementation);
  };
  add(PREDICTION_SERVICE, {
    Predict: (request, call) => api.predict(request, call),
    Classify: (request, call) => api.classify(request, call),
    Regress: (request, call) => api.regress(request, call),
    MultiInference: (request, call) => api.multiInference(request, call),
    GetModelMetadata: (request) => api.getModelMetadata(request),
  });
  add(MODEL_SERVICE, {
    GetModelStatus: (request) => api.getModelStatus(request),
    HandleReloadConfigRequest: (request) => api.handleReloadConfigRequest(request),
  });
  const health = new HealthImplementation(Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])));
  health.addToServer(server);
  new ReflectionService(definitions).addToServer(server);
  const bound = await bind(server, `${host.includes(':') ? `[${host}]` : host}:${port}`);
  return {
    port: bound,
    close: () => {
      for (const name of HEALTH_NAMES) health.setStatus(name, 'NOT_SERVING');
      return close(server);
    },
  };
}

function bind(server: Server, address: string): Promise<number> {
  // What goes wrong is thrown, or told to the caller it concerns: grpc-js would print it, too.
  setLogVerbosity(logVerbosity.NONE);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(listenError(error, address));
    });
  });
}

/** As Node itself would put it: grpc-js keeps the code within its message. */
function listenError(cause: Error, address: string): Error {
  const code = /\blisten (E[A-Z]+)/.exec(cause.message)?.[1];
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  return Object.assign(new Error(cause.message, { cause }), { code, port });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), CLOSE_GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

/**
 * Requests stay bytes: what is wrong with them is told in our words, as INVALID_ARGUMENT, rather than as INTERNAL.
 * A response that is bytes is sent as it is.
 */
function raw(method: MethodDefinition<object, object>): MethodDefinition<Buffer, object> {
  return {
    ...method,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (response: object) =>
      Buffer.isBuffer(response) ? response : method.responseSerialize(response),
  };
}

function unary(name: string, method: Method, options: GrpcServerOptions): handleUnaryCall<Buffer, object> {
  return (call, callback) => {
    const counted = INFERENCES.has(name) ? options.metrics.begin(name, 'GRPC') : UNCOUNTED;
    answer(method, call, options, counted).then(
      (response) => {
        counted.ended();
        callback(null, response);
      },
      (error: unknown) => {
        counted.ended(error);
        callback(serviceError(error));
      },
    );
  };
}

async function answer(
  method: Method,
  call: ServerUnaryCall<Buffer, object>,
  { budget, clock, messageBytesMax, timeoutMs }: GrpcServerOptions,
  counted: CountedRequest,
): Promise<object> {
  const work = new AbortController();
  call.on('cancelled', () => work.abort());
  const allowedMs = timeAllowed(call.getDeadline(), timeoutMs);
  const endsAtMs = clock.nowMs() + allowedMs;
  const remainingMs = (): number => Math.ceil(endsAtMs - clock.nowMs());
  const account = budget.open();
  try {
    account.take(call.request.length);
    const context = {
      remainingMs,
      header: (name: string) => call.metadata.get(name)[0]?.toString(),
      signal: work.signal,
      counted,
      room: { bytesMax: messageBytesMax, take: (bytes: number) => account.take(bytes) },
    };
    return await withDeadline(method(call.request, context), {
      clock,
      deadlineMs: allowedMs,
      signal: work.signal,
      onDeadline: () => new MeshError('DEADLINE', `no result in ${Math.ceil(allowedMs)} ms`),
      onAbort: () => new MeshError('CANCELLED', 'the client called it off'),
    });
  } finally {
    // Whatever ends the wait ends the work.
    work.abort();
    account.close();
  }
}

/** From now, by a deadline that is a time of day. */
function timeAllowed(deadline: Date | number, timeoutMs: number): number {
  const atMs = deadline instanceof Date ? deadline.getTime() : deadline;
  return atMs === Number.POSITIVE_INFINITY ? timeoutMs : Math.min(DEADLINE_MS_MAX, Math.max(0, atMs - Date.now()));
}
