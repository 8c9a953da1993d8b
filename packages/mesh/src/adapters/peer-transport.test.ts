import { EventEmitter } from 'node:events';
import { ManualClock, seededRandom } from '@shoal/base';
import { systemClock, systemRandom } from '@shoal/base/system';
import { peerId, type MeshError, type PeerId } from '@shoal/protocol';
import wrtc from '@roamhq/wrtc';
import SimplePeer from 'simple-peer';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HIGH_WATER_BYTES, type Connection } from '../connection.ts';
import { MemoryCoordinator } from '../testing/memory-signaling.ts';
import { transportConformance } from '../testing/transport-conformance.ts';
import { peerTransport } from './peer-transport.ts';

const alice = peerId('alice');
const bob = peerId('bob');
const DIAL = { deadlineMs: 5000 };
const real = { clock: systemClock, random: systemRandom, iceServers: [], Peer: SimplePeer, wrtc };

// simple-peer warns of candidates that come for a connection that was closed meanwhile.
beforeEach(() => void vi.spyOn(console, 'warn').mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

transportConformance('WebRTC by simple-peer and @roamhq/wrtc', () => {
  const coordinator = new MemoryCoordinator();
  const peer = (id: PeerId) => ({ id, transport: peerTransport({ ...real, signaling: coordinator.join(id) }) });
  return { alice: peer(alice), bob: peer(bob), nobody: peerId('nobody') };
});

describe('with real WebRTC', () => {
  test('a dial while the line is lost waits for the line', async () => {
    const coordinator = new MemoryCoordinator();
    const signaling = coordinator.join(alice);
    const transport = peerTransport({ ...real, signaling });
    const other = peerTransport({ ...real, signaling: coordinator.join(bob) });
    other.onConnection(() => {});
    coordinator.lose(alice);
    const dial = transport.dial(bob, DIAL);
    // Long enough for the offer and its candidates to have been dropped.
    await new Promise((resolve) => setTimeout(resolve, 100));
    coordinator.restore(alice);
    const connection = await dial;
    expect(connection.kind).toBe('direct');
    connection.close();
  });

  test('what another peer says wrong costs the connection it names at most', async () => {
    const coordinator = new MemoryCoordinator();
    const signaling = coordinator.join(alice);
    const transport = peerTransport({ ...real, signaling });
    const random = seededRandom(1);
    const dialling = peerTransport({ ...real, signaling, random });
    const hear = (payload: unknown) => () => signaling.hear({ type: 'signal', from: bob, payload });
    const dial = dialling.dial(bob, DIAL);
    const connection = seededRandom(1).id();
    for (const payload of [
      { kind: 'webrtc' },
      { kind: 'webrtc', connection: '', data: {} },
      { kind: 'webrtc', connection: 'a', data: 'offer' },
      { kind: 'webrtc', connection: 'a', data: { type: 'offer' } },
      { kind: 'webrtc', connection: 'b', data: { type: 'offer', sdp: 'v=0' } },
      { kind: 'webrtc', connection: 'c', data: { type: 'pranswer', sdp: 'v=0' } },
      { kind: 'webrtc', connection, data: { type: 'explode', sdp: 'v=0' } },
      { kind: 'webrtc', connection, data: { candidate: { candidate: 7, sdpMid: {} } } },
      null,
      'webrtc',
    ]) {
      expect(hear(payload)).not.toThrow();
    }
    await expect(dial).rejects.toThrow('DIRECT_LINK_FAILED');
    transport.close();
    dialling.close();
  });

  test('a platform that cannot make a connection says so, to the dialler and to nobody else', async () => {
    const coordinator = new MemoryCoordinator();
    const signaling = coordinator.join(alice);
    const RTCPeerConnection = function (): never {
      throw new Error('Cannot create so many PeerConnections');
    };
    const none = { ...wrtc, RTCPeerConnection } as unknown as typeof wrtc;
    const transport = peerTransport({ ...real, signaling, wrtc: none });
    transport.onConnection(() => {});
    await expect(transport.dial(bob, DIAL)).rejects.toThrow(
      'DIRECT_LINK_FAILED: Cannot create so many PeerConnections',
    );
    signaling.hear({
      type: 'signal',
      from: bob,
      payload: { kind: 'webrtc', connection: 'a', data: { type: 'offer', sdp: 'v=0' } },
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

/** A data channel of a platform that tells when its buffer has drained, or of one that does not. */
class FakeChannel {
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  isFull = false;
  onopen: () => void = () => {};
  onclose: () => void = () => {};
  onmessage: (event: { data: ArrayBuffer }) => void = () => {};
  declare onbufferedamountlow?: (() => void) | null;

  constructor(tellsDrain: boolean) {
    if (tellsDrain) this.onbufferedamountlow = null;
  }

  send(bytes: Uint8Array): void {
    if (this.isFull) throw new Error('RTCDataChannel send queue is full');
    this.bufferedAmount += bytes.length;
  }
}

/** Peers whose channels open as soon as the other side's offer has come, without any WebRTC. */
function fakePlatform(tellsDrain: boolean) {
  const channels: FakeChannel[] = [];
  class FakePeer extends EventEmitter {
    readonly channel = new FakeChannel(tellsDrain);
    readonly _pc = { createDataChannel: () => this.channel };

    constructor() {
      super();
      channels.push(this.channel);
    }

    signal(): void {}

    destroy(): void {
      queueMicrotask(() => this.emit('close'));
    }
  }
  const clock = new ManualClock();
  const coordinator = new MemoryCoordinator();
  const signaling = coordinator.join(alice);
  const transport = peerTransport({
    signaling,
    clock,
    random: seededRandom(1),
    iceServers: [],
    Peer: FakePeer as unknown as SimplePeer.SimplePeer,
  });
  const offer = (connection: string): void =>
    signaling.hear({
      type: 'signal',
      from: bob,
      payload: { kind: 'webrtc', connection, data: { type: 'offer', sdp: 'v=0' } },
    });
  const open = async (): Promise<[Connection, FakeChannel]> => {
    const dial = transport.dial(bob, DIAL);
    const channel = channels.at(-1);
    if (channel === undefined) throw new Error('no channel was made');
    channel.onopen();
    return [await dial, channel];
  };
  return { clock, transport, channels, offer, open };
}

describe('on a platform of our own', () => {
  test('where drained buffers are told of, the event is taken at the low-water mark, and nothing is polled', async () => {
    const { clock, open } = fakePlatform(true);
    const [connection, channel] = await open();
    let drains = 0;
    connection.attach({ packet() {}, drain: () => (drains += 1), closed() {} });
    connection.send(new Uint8Array(HIGH_WATER_BYTES));
    expect(channel.bufferedAmountLowThreshold).toBe(256 * 1024);
    expect(clock.pending).toBe(0);
    channel.onbufferedamountlow?.();
    expect(drains).toBe(1);
  });

  test('where they are not (WebRTC for Node.js), the buffer is asked for until it has drained', async () => {
    const { clock, open } = fakePlatform(false);
    const [connection, channel] = await open();
    let drains = 0;
    connection.attach({ packet() {}, drain: () => (drains += 1), closed() {} });
    connection.send(new Uint8Array(1000));
    expect(clock.pending).toBe(0);
    connection.send(new Uint8Array(HIGH_WATER_BYTES));
    connection.send(new Uint8Array(1000));
    clock.advance(100);
    expect([drains, clock.pending]).toEqual([0, 1]);
    channel.bufferedAmount = 256 * 1024;
    clock.advance(5);
    expect([drains, clock.pending]).toEqual([1, 0]);
    connection.send(new Uint8Array(HIGH_WATER_BYTES));
    connection.close();
    expect(clock.pending).toBe(0);
  });

  test('a channel that takes no more ends the connection, for a packet is lost', async () => {
    const { open } = fakePlatform(true);
    const [connection, channel] = await open();
    const errors: MeshError[] = [];
    connection.attach({ packet() {}, drain() {}, closed: (error) => errors.push(error) });
    channel.isFull = true;
    connection.send(new Uint8Array(1));
    connection.send(new Uint8Array(1));
    expect(errors.map(({ message }) => message)).toEqual(['LINK_FAILED: RTCDataChannel send queue is full']);
  });

  test('64 answers may be under way; connections that are open do not count', async () => {
    const { transport, channels, offer } = fakePlatform(true);
    let accepted = 0;
    transport.onConnection(() => (accepted += 1));
    for (let i = 0; i < 70; i++) offer(`a${i.toString(16)}`);
    expect(channels).toHaveLength(64);
    for (const channel of channels) channel.onopen();
    await vi.waitFor(() => expect(accepted).toBe(64));
    for (let i = 0; i < 10; i++) offer(`b${i.toString(16)}`);
    expect(channels).toHaveLength(74);
  });

  test('an answer that does not come about is given up after 10 s', async () => {
    const { clock, transport, offer } = fakePlatform(true);
    transport.onConnection(() => {});
    offer('a');
    clock.advance(9_999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(clock.pending).toBe(0);
  });
});
