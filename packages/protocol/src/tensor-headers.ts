/** Tensors in messages: what their headers must promise before anything is allocated, and that bodies keep it. */
import type { TensorHeader } from './channel.ts';
import { DATA_MESSAGE_BYTES_MAX } from './limits.ts';
import { MeshError } from './reasons.ts';
import { elementCount } from './tensor.ts';

const BYTES_PER_ELEMENT = { float32: 4, int32: 4, bool: 1 } as const;
/** A string's length field; a coded payload's version and form. */
const STRING_BYTES_MIN = 4;
const CODED_BYTES_MIN = 2;
/** Counted alike for every dtype: decoding works on words. */
const CODED_ELEMENT_BYTES = 4;

/**
 * Holds each tensor's bytes against its shape. A few coded bytes may stand for many elements, all of them alike, so what
 * a message's coded tensors take once decoded is bounded by itself: by what one message could carry undecoded.
 * @throws MeshError BAD_FRAME that names the tensor
 */
export function checkTensors(headers: readonly TensorHeader[]): void {
  const names = new Set<string>();
  let decodedBytes = 0;
  for (const { name, dtype, shape, encoding, bytes } of headers) {
    const bad = (what: string): MeshError => new MeshError('BAD_FRAME', `tensor "${name}" ${what}`);
    // Receivers put tensors into records by name; as a key this one would replace the record's prototype.
    if (name === '__proto__') throw bad('has a name that is not allowed');
    if (names.has(name)) throw bad('is listed twice');
    names.add(name);
    // At most 2^31 to the 8th power: rounded when large, never infinite.
    const elements = elementCount(shape);
    const what = `${dtype} [${shape.join(', ')}] as ${encoding}`;
    if (encoding === 'coded') {
      if (dtype === 'string') throw bad(`is ${what}, expected numbers`);
      if (bytes < CODED_BYTES_MIN) throw bad(`has ${bytes} bytes, ${what} takes at least ${CODED_BYTES_MIN}`);
      decodedBytes += CODED_ELEMENT_BYTES * elements;
      if (decodedBytes > DATA_MESSAGE_BYTES_MAX) {
        throw bad(`is ${what}: coded tensors of ${decodedBytes} bytes decoded, limit ${DATA_MESSAGE_BYTES_MAX} bytes`);
      }
    } else if (dtype === 'string') {
      const least = STRING_BYTES_MIN * elements;
      if (bytes < least) throw bad(`has ${bytes} bytes, ${what} takes at least ${least}`);
    } else {
      const exact = BYTES_PER_ELEMENT[dtype] * elements;
      if (bytes !== exact) throw bad(`has ${bytes} bytes, ${what} takes ${exact}`);
    }
  }
}

/** Bytes that a message's header announces. */
export interface BodyHeader {
  readonly what: string;
  readonly bytes: number;
}

/**
 * Holds the bodies of a message that is to be sent against its headers.
 * @throws MeshError BAD_FRAME where they differ, TOO_LARGE where they are too much for one message
 */
export function checkBodies(headers: readonly BodyHeader[], bodies: readonly Uint8Array[]): void {
  if (bodies.length !== headers.length) {
    throw new MeshError('BAD_FRAME', `message has ${bodies.length} bodies, its header lists ${headers.length}`);
  }
  let bodyBytes = 0;
  for (const [index, { what, bytes }] of headers.entries()) {
    const length = bodies[index]?.length;
    if (length !== bytes) {
      throw new MeshError('BAD_FRAME', `${what} has ${length} bytes, its header says ${bytes}`);
    }
    bodyBytes += bytes;
  }
  if (bodyBytes > DATA_MESSAGE_BYTES_MAX) {
    throw new MeshError(
      'TOO_LARGE',
      `tensors of ${bodyBytes} bytes in one message, limit ${DATA_MESSAGE_BYTES_MAX} bytes`,
    );
  }
}
