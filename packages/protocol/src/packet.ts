/**
 * Packets: what one data channel message holds. A message is cut into chunks; small control packets ride between them.
 *
 *  byte  size  field    chunk (1)                    credit (2)             ping (3), pong (4)   bye (5)
 *  ----  ----  -------  ---------------------------  ---------------------  -------------------  ----------------
 *   0     1    version  1                            1                      1                    1
 *   1     1    kind     1                            2                      3 or 4               5
 *   2     1    stream   0 control, 1 data, 2 bulk    the stream it is for   0                    0
 *   3     1    zero     0                            0                      0                    0
 *   4     4    a        message number in stream     0                      sequence number      0
 *   8     4    b        offset of this chunk         high half of limit     0                    0
 *  12     4    c        bytes of the whole message   low half of limit      0                    0
 *  16     …    payload  the chunk's bytes            none                   none                 reason code, ASCII
 *
 * Integers are unsigned, little-endian. A credit's limit is the sum of message bytes that the sender may have
 * sent on that stream since the link opened (up to 2^53).
 */
import { CHUNK_BYTES_MAX, PROTOCOL_VERSION } from './limits.ts';
import { MeshError, REASONS, type ReasonCode } from './reasons.ts';

export const STREAMS = ['control', 'data', 'bulk'] as const;
/** An ordered sequence of messages on a link. Streams do not wait for each other. */
export type Stream = (typeof STREAMS)[number];

export const PACKET_HEADER_BYTES = 16;

const KINDS = ['chunk', 'credit', 'ping', 'pong', 'bye'] as const;
const FIRST_KIND = 1;

export type Packet =
  | {
      readonly kind: 'chunk';
      readonly stream: Stream;
      readonly message: number;
      readonly offset: number;
      readonly messageBytes: number;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'credit'; readonly stream: Stream; readonly limitBytes: number }
  | { readonly kind: 'ping' | 'pong'; readonly sequence: number }
  | { readonly kind: 'bye'; readonly reason: ReasonCode };

const TWO_32 = 0x1_0000_0000;

/** Writes a packet. The payload is copied; the result owns its buffer. */
export function encodePacket(packet: Packet): Uint8Array<ArrayBuffer> {
  const payload =
    packet.kind === 'chunk'
      ? packet.payload
      : packet.kind === 'bye'
        ? new TextEncoder().encode(packet.reason)
        : new Uint8Array(0);
  const bytes = new Uint8Array(PACKET_HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, PROTOCOL_VERSION);
  view.setUint8(1, KINDS.indexOf(packet.kind) + FIRST_KIND);
  switch (packet.kind) {
    case 'chunk':
      view.setUint8(2, STREAMS.indexOf(packet.stream));
      view.setUint32(4, packet.message, true);
      view.setUint32(8, packet.offset, true);
      view.setUint32(12, packet.messageBytes, true);
      break;
    case 'credit':
      view.setUint8(2, STREAMS.indexOf(packet.stream));
      view.setUint32(8, Math.floor(packet.limitBytes / TWO_32), true);
      view.setUint32(12, packet.limitBytes % TWO_32, true);
      break;
    case 'ping':
    case 'pong':
      view.setUint32(4, packet.sequence, true);
      break;
    case 'bye':
      break;
  }
  bytes.set(payload, PACKET_HEADER_BYTES);
  return bytes;
}

const bad = (field: string, got: unknown, limit: string): MeshError =>
  new MeshError('BAD_FRAME', `packet ${field} is ${String(got)}, expected ${limit}`);

/**
 * Reads a packet; a chunk's payload is a view into `bytes`.
 * @throws MeshError BAD_FRAME that names the field and what it should have been
 */
export function decodePacket(bytes: Uint8Array): Packet {
  if (bytes.length < PACKET_HEADER_BYTES) throw bad('length', bytes.length, `at least ${PACKET_HEADER_BYTES} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== PROTOCOL_VERSION) throw bad('version', view.getUint8(0), String(PROTOCOL_VERSION));
  if (view.getUint8(3) !== 0) throw bad('byte 3', view.getUint8(3), '0');
  const kind = KINDS[view.getUint8(1) - FIRST_KIND];
  if (kind === undefined) throw bad('kind', view.getUint8(1), `1 to ${KINDS.length}`);
  const stream = STREAMS[view.getUint8(2)];
  if (stream === undefined) throw bad('stream', view.getUint8(2), `0 to ${STREAMS.length - 1}`);
  const payload = bytes.subarray(PACKET_HEADER_BYTES);
  switch (kind) {
    case 'chunk': {
      const offset = view.getUint32(8, true);
      const messageBytes = view.getUint32(12, true);
      if (payload.length === 0 || payload.length > CHUNK_BYTES_MAX) {
        throw bad('payload', `${payload.length} bytes`, `1 to ${CHUNK_BYTES_MAX} bytes`);
      }
      if (offset + payload.length > messageBytes) {
        throw bad('offset', offset, `at most ${messageBytes - payload.length} in a message of ${messageBytes} bytes`);
      }
      return { kind, stream, message: view.getUint32(4, true), offset, messageBytes, payload };
    }
    case 'credit': {
      const limitBytes = view.getUint32(8, true) * TWO_32 + view.getUint32(12, true);
      if (!Number.isSafeInteger(limitBytes)) throw bad('limit', limitBytes, 'below 2^53');
      if (payload.length > 0) throw bad('payload', `${payload.length} bytes`, 'none');
      return { kind, stream, limitBytes };
    }
    case 'ping':
    case 'pong':
      if (payload.length > 0) throw bad('payload', `${payload.length} bytes`, 'none');
      return { kind, sequence: view.getUint32(4, true) };
    case 'bye': {
      const reason = payload.length > 64 ? '' : new TextDecoder().decode(payload);
      if (!Object.hasOwn(REASONS, reason)) throw bad('reason', 'unknown', 'a reason code');
      return { kind, reason: reason as ReasonCode };
    }
  }
}
