/** gRPC put together. */
import { loadDefinitions } from './definitions.ts';
import { GrpcApi, type GrpcApiParts } from './grpc-api.ts';
import { startGrpcServer, type GrpcServer, type GrpcServerOptions } from './server.ts';

type OpenOptions = Omit<GrpcApiParts, 'definitions'> &
  Omit<GrpcServerOptions, 'api' | 'definitions' | 'messageBytesMax'> & { readonly bodyBytesMax: number };

/** @throws Error with the code EADDRINUSE and the port, for one that is taken */
export function openGrpc(options: OpenOptions): Promise<GrpcServer> {
  const definitions = loadDefinitions();
  const api = new GrpcApi({ ...options, definitions });
  return startGrpcServer({ ...options, api, definitions, messageBytesMax: options.bodyBytesMax });
}
