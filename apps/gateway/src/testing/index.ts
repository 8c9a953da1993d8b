/** Clients for tests of whatever runs a gateway. */
export { decodeMessage, GrpcClient, type Message, type RpcOptions, type RpcReply } from './grpc-client.ts';
export { HttpClient, type HttpCall, type HttpReply } from './http-client.ts';
