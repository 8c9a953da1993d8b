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
 * Integers are unsigned, little-endian. What a kind does not use is zero: a packet has one writing. A credit's
 * limit is the sum of message bytes that the sender may have sent on that stream since the link opened (up to
 * 2^53). Rules PK in SPEC.md.
 */
import { newRoom, type Room } from '@shoal/base';
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, PROTOCOL_VERSION } from './limits.ts';
import { MeshError, REASONS, type ReasonCode } from './reasons.ts';

export const STREAMS = ['control', 'data', 'bulk'] as const;
/** An ordered sequence of messages on a link. Streams do not wait for each other. */
export type Stream = (typeof STREAMS)[number];

export const PACKET_HEADER_BYTES = 16;

const KINDS = ['chunk', 'credit', 'ping', 'pong', 'bye'] as const;
const FIRST_KIND = 1;
const REASON_BYTES_MAX = 64;

interface ChunkPacket {
  readonly kind: 'chunk';
  readonly stream: Stream;
  readonly message: number;
  readonly offset: number;
  readonly messageBytes: number;
  readonly payload: Uint8Array;
}

export type Packet =
  | ChunkPacket
  | { readonly kind: 'credit'; readonly stream: Stream; readonly limitBytes: number }
  | { readonly kind: 'ping' | 'pong'; readonly sequence: number }
  | { readonly kind: 'bye'; readonly reason: ReasonCode };

const TWO_32 = 0x1_0000_0000;
const U32_MAX = TWO_32 - 1;

const bad = (field: string, got: unknown, limit: string): MeshError =>
  new MeshError('BAD_FRAME', `packet ${field} is ${String(got)}, expected ${limit}`);

/**
 * Writes a packet. The payload is copied; the result owns its buffer.
 * @throws MeshError BAD_FRAME that names the field which no receiver would accept
 */
export function encodePacket(packet: Packet): Uint8Array<ArrayBuffer> {
  if (packet.kind === 'chunk') {
    const { payload, ...place } = packet;
    return encodeChunk(place, payload.length, (room) => room.set(payload));
  }
  check(packet);
  const reason = packet.kind === 'bye' ? new TextEncoder().encode(packet.reason) : new Uint8Array(0);
  const { bytes, view } = opened(packet.kind, reason.length);
  switch (packet.kind) {
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
      bytes.set(reason, PACKET_HEADER_BYTES);
      break;
  }
  return bytes;
}

/**
 * Writes a chunk whose payload lies in several places, each byte copied once.
 * @param fill writes the whole payload
 * @throws MeshError BAD_FRAME that names the field which no receiver would accept
 */
export function encodeChunk(
  { stream, message, offset, messageBytes }: Omit<ChunkPacket, 'kind' | 'payload'>,
  payloadBytes: number,
  fill: (payload: Uint8Array<ArrayBuffer>) => void,
  room: Room = newRoom,
): Uint8Array<ArrayBuffer> {
  const { bytes, view } = opened('chunk', payloadBytes, room);
  const payload = bytes.subarray(PACKET_HEADER_BYTES);
  check({ kind: 'chunk', stream, message, offset, messageBytes, payload });
  view.setUint8(2, STREAMS.indexOf(stream));
  view.setUint32(4, message, true);
  view.setUint32(8, offset, true);
  view.setUint32(12, messageBytes, true);
  fill(payload);
  return bytes;
}

function opened(
  kind: Packet['kind'],
  payloadBytes: number,
  room: Room = newRoom,
): { bytes: Uint8Array<ArrayBuffer>; view: DataView } {
  const bytes = room(PACKET_HEADER_BYTES + payloadBytes);
  bytes.fill(0, 0, PACKET_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint8(0, PROTOCOL_VERSION);
  view.setUint8(1, KINDS.indexOf(kind) + FIRST_KIND);
  return { bytes, view };
}

/**
 * Reads a packet; a chunk's payload is a view into `bytes`.
 * @throws MeshError BAD_FRAME that names the field and what it should have been
 */
export function decodePacket(bytes: Uint8Array): Packet {
  const packet = read(bytes);
  check(packet);
  return packet;
}

function read(bytes: Uint8Array): Packet {
  if (bytes.length < PACKET_HEADER_BYTES) throw bad('length', bytes.length, `at least ${PACKET_HEADER_BYTES} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== PROTOCOL_VERSION) throw bad('version', view.getUint8(0), String(PROTOCOL_VERSION));
  const kind = KINDS[view.getUint8(1) - FIRST_KIND];
  if (kind === undefined) throw bad('kind', view.getUint8(1), `1 to ${KINDS.length}`);
  const stream = STREAMS[view.getUint8(2)];
  if (stream === undefined) throw bad('stream', view.getUint8(2), `0 to ${STREAMS.length - 1}`);
  const a = view.getUint32(4, true);
  const b = view.getUint32(8, true);
  const c = view.getUint32(12, true);
  const payload = bytes.subarray(PACKET_HEADER_BYTES);
  mustBeZero('byte 3', view.getUint8(3));
  switch (kind) {
    case 'chunk':
      return { kind, stream, message: a, offset: b, messageBytes: c, payload };
    case 'credit':
      mustBeZero('field a', a);
      mustBeZero('payload length', payload.length);
      return { kind, stream, limitBytes: b * TWO_32 + c };
    case 'ping':
    case 'pong':
      mustBeZero('stream', view.getUint8(2));
      mustBeZero('field b', b);
      mustBeZero('field c', c);
      mustBeZero('payload length', payload.length);
      return { kind, sequence: a };
    case 'bye':
      mustBeZero('stream', view.getUint8(2));
      mustBeZero('field a', a);
      mustBeZero('field b', b);
      mustBeZero('field c', c);
      return { kind, reason: readReason(payload) };
  }
}

function mustBeZero(field: string, value: number): void {
  if (value !== 0) throw bad(field, value, '0');
}

function readReason(payload: Uint8Array): ReasonCode {
  const reason = payload.length > REASON_BYTES_MAX ? '' : new TextDecoder().decode(payload);
  // A byte order mark vanishes in decoding: the lengths of the bytes and of the code tell.
  if (reason.length !== payload.length || !Object.hasOwn(REASONS, reason))
    throw bad('reason', 'unknown', 'a reason code');
  return reason as ReasonCode;
}

/** Holds both ends to the same rules: what one writes, the other accepts. */
function check(packet: Packet): void {
  switch (packet.kind) {
    case 'chunk': {
      const { offset, messageBytes, payload } = packet;
      mustBeU32('message', packet.message);
      mustBeU32('offset', offset);
      mustBeU32('message size', messageBytes);
      if (payload.length === 0 || payload.length > CHUNK_BYTES_MAX) {
        throw bad('payload', `${payload.length} bytes`, `1 to ${CHUNK_BYTES_MAX} bytes`);
      }
      const end = offset + payload.length;
      if (end > messageBytes) {
        throw bad('offset', offset, `at most ${messageBytes - payload.length} in a message of ${messageBytes} bytes`);
      }
      if (payload.length < CHUNK_BYTES_MIN && end < messageBytes) {
        throw bad('payload', `${payload.length} bytes`, `at least ${CHUNK_BYTES_MIN} bytes in all chunks but the last`);
      }
      return;
    }
    case 'credit':
      if (packet.stream === 'control') throw bad('stream', 'control', 'a stream that carries credit');
      if (!Number.isSafeInteger(packet.limitBytes) || packet.limitBytes < 0) {
        throw bad('limit', packet.limitBytes, 'an integer below 2^53');
      }
      return;
    case 'ping':
    case 'pong':
      mustBeU32('sequence', packet.sequence);
      return;
    case 'bye':
      return;
  }
}

function mustBeU32(field: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX) throw bad(field, value, `an integer up to ${U32_MAX}`);
}
