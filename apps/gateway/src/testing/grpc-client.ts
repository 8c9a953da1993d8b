/** A gRPC client as users have one: definitions of its own, a deadline, a way to call off. */
import { Client, credentials, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { clientDefinitions } from './grpc-definitions.ts';

export type Message = Readonly<Record<string, unknown>>;

export interface RpcOptions {
  /** 10 s, the seed example's. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What came back: a response, or the error that grpc-js makes of a status. */
export type RpcReply =
  | { readonly code: 0; readonly response: Message }
  | { readonly code: number; readonly error: ServiceError; readonly details: string };

type Definition = MessageTypeDefinition<object, object>;

/** @param type its full name */
export const encodeMessage = (type: string, message: Message): Buffer =>
  (clientDefinitions[type] as Definition).serialize(message);
export const decodeMessage = (type: string, bytes: Buffer): object =>
  (clientDefinitions[type] as Definition).deserialize(bytes);

function methodNamed(method: string) {
  const [service = '', name = ''] = method.split('/');
  const fullName = service.includes('.') ? service : `tensorflow.serving.${service}`;
  const definition = (clientDefinitions[fullName] as ServiceDefinition)[name];
  if (definition === undefined) throw new TypeError(`${method} is no method`);
  return definition;
}

export class GrpcClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  }

  /** @param method such as `PredictionService/Predict`, or with its package where that is not TensorFlow Serving's */
  call(method: string, request: Message, options: RpcOptions = {}): Promise<RpcReply> {
    const definition = methodNamed(method);
    return this.#unary(definition.path, definition.requestSerialize(request), definition.responseDeserialize, options);
  }

  /** Bytes instead of a message: what no well-behaved client would send. */
  callRaw(method: string, request: Buffer, options: RpcOptions = {}): Promise<RpcReply> {
    return this.#unary(`/tensorflow.serving.${method}`, request, (bytes) => ({ bytes }), options);
  }

  /** One request on a stream of both ways, and its first response. */
  ask(method: string, request: Message): Promise<Message> {
    const { path, requestSerialize, responseDeserialize } = methodNamed(method);
    const stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new Promise((resolve, reject) => {
      stream.on('data', resolve);
      stream.on('error', reject);
      stream.end(request);
    });
  }

  close(): void {
    this.#client.close();
  }

  #unary(
    path: string,
    request: Buffer,
    deserialize: (bytes: Buffer) => unknown,
    { deadlineMs = 10_000, signal }: RpcOptions,
  ): Promise<RpcReply> {
    return new Promise((resolve) => {
      const call = this.#client.makeUnaryRequest(
        path,
        (bytes: Buffer) => bytes,
        deserialize,
        request,
        { deadline: Date.now() + deadlineMs },
        (error, response) => {
          if (error === null) resolve({ code: 0, response: response as Message });
          else resolve({ code: error.code, error, details: error.details });
        },
      );
      signal?.addEventListener('abort', () => call.cancel(), { once: true });
    });
  }
}
