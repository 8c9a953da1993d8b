/** How a Node.js process reaches its peers: WebRTC by @roamhq/wrtc, else the relay. */
import { systemClock, systemRandom } from '@shoal/base/system';
import wrtc from '@roamhq/wrtc';
import SimplePeer from 'simple-peer';
import type { Transport } from '../connection.ts';
import { fallbackTransport } from '../fallback-transport.ts';
import { relayTransport } from '../relay-transport.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import { peerTransport } from './peer-transport.ts';

export function nodeTransport(signaling: Signaling, welcome: Welcome): Transport {
  const shared = { signaling, clock: systemClock, random: systemRandom };
  const direct = peerTransport({ ...shared, iceServers: welcome.iceServers, Peer: SimplePeer, wrtc });
  return fallbackTransport(direct, relayTransport(shared));
}
