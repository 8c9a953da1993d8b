export * from './assignment.ts';
export { batchingParametersSchema, type BatchingParameters } from './batching.ts';
export * from './channel.ts';
export * from './ids.ts';
export * from './limits.ts';
export * from './membership.ts';
export { decodeMessage, encodeMessage, type DecodedMessage, type EncodedTensor } from './message.ts';
export * from './node-reports.ts';
export { parseWith } from './parse.ts';
export {
  decodePacket,
  encodeChunk,
  encodePacket,
  PACKET_HEADER_BYTES,
  STREAMS,
  type Packet,
  type Stream,
} from './packet.ts';
export * from './placement.ts';
export * from './proof.ts';
export { MeshError, REASON_CODES, REASONS, type ReasonCode } from './reasons.ts';
export { Reassembly, type Chunk, type ReassemblyLimits } from './reassembly.ts';
export * from './shard-sources.ts';
export * from './signaling.ts';
export * from './survey.ts';
export {
  DEFAULT_SIGNATURE,
  DTYPES,
  elementCount,
  type DType,
  type NamedTensors,
  type Signature,
  type TensorData,
  type TensorSpec,
  type TensorValues,
} from './tensor.ts';
export * from './watch.ts';
