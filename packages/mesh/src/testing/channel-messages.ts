/** Messages of a link for tests: small words, and work that carries as many bytes as asked for. */
import { peerId, requestId, type CancelMessage, type ChannelMessage, type WorkMessage } from '@shoal/protocol';

const KEY = { requestId: requestId('request'), attempt: 1, epoch: 1 };

export const cancelMessage = (microbatch: number): CancelMessage => ({ type: 'cancel', ...KEY, microbatch });

export const workMessage = (microbatch: number, bytes: number): WorkMessage => ({
  type: 'work',
  ...KEY,
  microbatch,
  model: 'model',
  version: 1,
  signature: 'serving_default',
  stage: 0,
  route: [peerId('bob')],
  replyTo: peerId('alice'),
  rows: 1,
  deadlineMs: 1000,
  timings: [],
  tensors: [{ name: 'x', dtype: 'bool', shape: [bytes], encoding: 'raw', bytes }],
});

export const pieceMessage = (ask: number, bytes: number): ChannelMessage => ({ type: 'shard-piece', ask, bytes });

/** Bytes that differ from those of other seeds. */
export function patternOf(bytes: number, seed: number): Uint8Array<ArrayBuffer> {
  const pattern = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) pattern[i] = (i * 31 + (i >>> 8) + seed * 97) & 0xff;
  return pattern;
}

export function isPattern(bytes: Uint8Array | undefined, size: number, seed: number): boolean {
  if (bytes?.length !== size) return false;
  for (let i = 0; i < size; i++) if (bytes[i] !== ((i * 31 + (i >>> 8) + seed * 97) & 0xff)) return false;
  return true;
}
