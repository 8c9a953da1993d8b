/**
 * Messages: a length, a JSON header, a body.
 *
 *   byte 0      4          4 + n
 *   [ n: u32 ] [ header ] [ body … ]
 *
 * `n` is little-endian. The header is UTF-8 JSON of a channel message; the body is the concatenation of the
 * tensors that the header lists, in its order, with no padding, or the piece of a shard that it announces. Rules MS
 * in SPEC.md.
 */
import { channelMessageSchema, type ChannelMessage, type TensorHeader } from './channel.ts';
import { MESSAGE_HEADER_BYTES_MAX } from './limits.ts';
import { parseWith } from './parse.ts';
import { MeshError } from './reasons.ts';
import { checkBodies, checkTensors, type BodyHeader } from './tensor-headers.ts';

const LENGTH_BYTES = 4;
const HEADER_JSON_BYTES_MAX = MESSAGE_HEADER_BYTES_MAX - LENGTH_BYTES;

/** One tensor ready for the wire. `data` holds `header.bytes` bytes. */
export interface EncodedTensor {
  readonly header: TensorHeader;
  readonly data: Uint8Array;
}

export interface DecodedMessage {
  readonly message: ChannelMessage;
  /** Views into the message's bytes: one per tensor of the header, or one piece of a shard. */
  readonly bodies: readonly Uint8Array[];
}

const tensorsOf = (message: ChannelMessage): readonly TensorHeader[] => ('tensors' in message ? message.tensors : []);

/** What the header promises of the bytes behind it, in order. */
const bodiesOf = (message: ChannelMessage): readonly BodyHeader[] =>
  message.type === 'shard-piece'
    ? [{ what: 'piece', bytes: message.bytes }]
    : tensorsOf(message).map(({ name, bytes }) => ({ what: `tensor "${name}"`, bytes }));

/**
 * The parts of a message in order, ready to be cut into chunks; bodies are not copied.
 * @throws MeshError TOO_LARGE, or BAD_FRAME where bodies and headers do not fit each other
 */
export function encodeMessage(message: ChannelMessage, bodies: readonly Uint8Array[] = []): Uint8Array[] {
  const json = new TextEncoder().encode(JSON.stringify(message));
  if (json.length > HEADER_JSON_BYTES_MAX) {
    throw new MeshError('TOO_LARGE', `message header of ${json.length} bytes, limit ${HEADER_JSON_BYTES_MAX} bytes`);
  }
  checkFit(message);
  checkBodies(bodiesOf(message), bodies);
  const head = new Uint8Array(LENGTH_BYTES + json.length);
  new DataView(head.buffer).setUint32(0, json.length, true);
  head.set(json, LENGTH_BYTES);
  return [head, ...bodies];
}

/** What no schema says: how the fields of a message must fit each other. */
function checkFit(message: ChannelMessage): void {
  const isOnRoute = message.type === 'work' || message.type === 'release';
  if (isOnRoute && message.stage >= message.route.length) {
    throw new MeshError('BAD_FRAME', `stage is ${message.stage}, the route has ${message.route.length} stages`);
  }
  checkTensors(tensorsOf(message));
}

/**
 * Reads a whole message.
 * @throws MeshError BAD_FRAME that names the field at fault
 */
export function decodeMessage(bytes: Uint8Array): DecodedMessage {
  if (bytes.length < LENGTH_BYTES) throw new MeshError('BAD_FRAME', `message of ${bytes.length} bytes has no length`);
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getUint32(0, true);
  const headerBytesMax = Math.min(HEADER_JSON_BYTES_MAX, bytes.length - LENGTH_BYTES);
  if (headerBytes > headerBytesMax) {
    throw new MeshError(
      'BAD_FRAME',
      `message header is said to be ${headerBytes} bytes, limit ${headerBytesMax} bytes`,
    );
  }
  const message = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes));
  checkFit(message);
  const bodies: Uint8Array[] = [];
  let offset = LENGTH_BYTES + headerBytes;
  for (const { what, bytes: bodyBytes } of bodiesOf(message)) {
    if (offset + bodyBytes > bytes.length) {
      throw new MeshError('BAD_FRAME', `${what} needs ${bodyBytes} bytes, ${bytes.length - offset} are left`);
    }
    bodies.push(bytes.subarray(offset, offset + bodyBytes));
    offset += bodyBytes;
  }
  if (offset !== bytes.length) throw new MeshError('BAD_FRAME', `message has ${bytes.length - offset} bytes too many`);
  return { message, bodies };
}

function parseHeader(bytes: Uint8Array): ChannelMessage {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new MeshError('BAD_FRAME', 'message header is not JSON', { cause: error });
  }
  return parseWith(channelMessageSchema, json, 'message header');
}
