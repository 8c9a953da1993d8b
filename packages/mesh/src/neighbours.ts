/** What the runtime and other neighbours use of this room. */
export { joinOutputs, readOutputs, type OutputPart } from './client/request-outputs.ts';
export type { Connection, ConnectionHandler, DialOptions, Transport } from './connection.ts';
export { Link, type LinkFigures, type LinkHandler } from './link.ts';
export { Links, type LinksHandler } from './links.ts';
export { MemoryNetwork } from './memory-transport.ts';
export { relayTransport, type RelayTransportParts } from './relay-transport.ts';
export type { ContributedNode, ContributeOptions, NodeModelStatus, NodePhase, NodeSnapshot } from './sdk.ts';
export type { OpenSignaling, Signaling, SignalingState, Welcome } from './signaling.ts';
