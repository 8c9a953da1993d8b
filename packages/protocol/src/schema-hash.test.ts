/**
 * Pins the wire: every schema, every limit, the packets' bytes. A change here is a change that the other side
 * may notice, and so wants a new version or at least a line in the history of SPEC.md ([VN2]).
 */
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { channelMessageSchema, STREAM_OF } from './channel.ts';
import * as limits from './limits.ts';
import { handshakeSchema } from './membership.ts';
import { encodePacket, PACKET_HEADER_BYTES, STREAMS, type Packet } from './packet.ts';
import { REASONS } from './reasons.ts';
import { downMessageSchema, upMessageSchema } from './signaling.ts';
import { DEFAULT_SIGNATURE } from './tensor.ts';
import { watchReplySchema } from './watch.ts';

/** One hash per protocol version. A hash of a released version never changes. */
const HASHES: Readonly<Record<number, string>> = { 1: 'deb6cae8c977dc72' };

/** FNV-1a, 64 bits (Fowler, Noll, Vo): not for secrets. */
function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

/** The same value with its keys in order, so that moving a line changes no hash. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

const PACKETS: readonly Packet[] = [
  { kind: 'chunk', stream: 'bulk', message: 1, offset: 2, messageBytes: 5, payload: new Uint8Array([7, 8, 9]) },
  { kind: 'credit', stream: 'data', limitBytes: 2 ** 33 + 1 },
  { kind: 'ping', sequence: 1 },
  { kind: 'pong', sequence: 2 },
  { kind: 'bye', reason: 'CLOSED' },
];

const wire = {
  schemas: [channelMessageSchema, handshakeSchema, upMessageSchema, downMessageSchema, watchReplySchema].map((schema) =>
    z.toJSONSchema(schema),
  ),
  limits: { ...limits },
  packets: PACKETS.map((packet) => [...encodePacket(packet)]),
  packetHeaderBytes: PACKET_HEADER_BYTES,
  streams: STREAMS,
  streamOf: STREAM_OF,
  defaultSignature: DEFAULT_SIGNATURE,
  retryable: Object.fromEntries(Object.entries(REASONS).map(([code, { retryable }]) => [code, retryable])),
};

test('[VN2] the wire is the one this version is known for', () => {
  const hash = fnv1a64(JSON.stringify(sorted(wire)));
  expect(
    hash,
    `The wire of protocol version ${limits.PROTOCOL_VERSION} has changed to ${hash}. If peers may hold the old one, raise ` +
      'PROTOCOL_VERSION; in either case add a line to the history in SPEC.md, then write the new hash here.',
  ).toBe(HASHES[limits.PROTOCOL_VERSION]);
});

test('[VN2] the hash sees what a peer would notice and nothing else', () => {
  expect(fnv1a64('')).toBe('cbf29ce484222325');
  expect(fnv1a64('foobar')).toBe('85944171f73967e8');
  const now = JSON.stringify(sorted(wire));
  expect(JSON.stringify(sorted(Object.fromEntries(Object.entries(wire).toReversed())))).toBe(now);
  expect(JSON.stringify(sorted({ ...wire, limits: { ...limits, PING_INTERVAL_MS: 2001 } }))).not.toBe(now);
  // Each schema is there with its bounds, not as an empty shell.
  expect(now).toContain('"maximum":16777216');
  expect(now).toContain('rowsIndependent');
});
