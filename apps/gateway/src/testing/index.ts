/** Clients for tests of whatever runs a gateway, and what benches time of it. */
export { decodePredictRequest } from './decode-predict-request.ts';
export {
  decodeMessage,
  encodeMessage,
  GrpcClient,
  type Message,
  type RpcOptions,
  type RpcReply,
} from './grpc-client.ts';
export { HttpClient, type HttpCall, type HttpReply } from './http-client.ts';
