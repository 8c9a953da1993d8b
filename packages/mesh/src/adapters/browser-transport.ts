/** How a page reaches its peers: WebRTC of the browser, else the relay. */
import { systemClock, systemRandom } from '@shoal/base/system';
import SimplePeer from 'simple-peer/simplepeer.min.js';
import type { Transport } from '../connection.ts';
import { fallbackTransport } from '../fallback-transport.ts';
import { relayTransport } from '../relay-transport.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import { peerTransport } from './peer-transport.ts';

export function browserTransport(signaling: Signaling, welcome: Welcome): Transport {
  const shared = { signaling, clock: systemClock, random: systemRandom };
  const relay = relayTransport(shared);
  if (typeof RTCPeerConnection === 'undefined') return relay;
  return fallbackTransport(peerTransport({ ...shared, iceServers: welcome.iceServers, Peer: SimplePeer }), relay);
}
