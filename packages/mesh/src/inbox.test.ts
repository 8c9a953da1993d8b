import { MeshError } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { Inbox } from './inbox.ts';

const packet = (n: number): Uint8Array => Uint8Array.of(n);
const end = new MeshError('LINK_FAILED');

/** A handler that writes down what it is told, and may do something at a packet. */
function note(told: string[], onPacket: (n: number) => void = () => {}) {
  return {
    packet: (bytes: Uint8Array): void => {
      told.push(`packet ${bytes[0]}`);
      onPacket(bytes[0] ?? 0);
    },
    drain: (): void => void told.push('drain'),
    closed: (error: MeshError): void => void told.push(error.code),
  };
}

test('what came before the handler is told first, in order, then what comes', () => {
  const inbox = new Inbox();
  const told: string[] = [];
  inbox.packet(packet(1));
  inbox.packet(packet(2));
  inbox.attach(note(told));
  inbox.packet(packet(3));
  inbox.drain();
  inbox.closed(end);
  inbox.closed(end);
  inbox.packet(packet(4));
  inbox.drain();
  expect(told).toEqual(['packet 1', 'packet 2', 'packet 3', 'drain', 'LINK_FAILED']);
});

test('an end that came before the handler is told after the packets that came before it', () => {
  const inbox = new Inbox();
  const told: string[] = [];
  inbox.packet(packet(1));
  inbox.closed(end);
  inbox.attach(note(told));
  expect(told).toEqual(['packet 1', 'LINK_FAILED']);
});

test('an owner that closes at an early packet gets none of those after it', () => {
  const inbox = new Inbox();
  const told: string[] = [];
  for (const n of [1, 2, 3]) inbox.packet(packet(n));
  inbox.attach(note(told, () => inbox.mute()));
  inbox.closed(end);
  expect(told).toEqual(['packet 1']);
});

test('an end that an early packet brings about is told once, after the early packets', () => {
  const inbox = new Inbox();
  const told: string[] = [];
  for (const n of [1, 2, 3]) inbox.packet(packet(n));
  inbox.attach(note(told, (n) => n === 1 && inbox.closed(end)));
  expect(told).toEqual(['packet 1', 'packet 2', 'packet 3', 'LINK_FAILED']);
});

test('an owner that closed hears nothing, not even the end', () => {
  const inbox = new Inbox();
  const told: string[] = [];
  inbox.attach(note(told));
  inbox.mute();
  inbox.packet(packet(1));
  inbox.drain();
  inbox.closed(end);
  expect(told).toEqual([]);
});
