/** How a page reaches its peers: WebSocket to those who listen, WebRTC of the browser, else the relay. */
import { systemClock, systemRandom } from '@shoal/base/system';
import SimplePeer from 'simple-peer/simplepeer.min.js';
import type { Transport } from '../connection.ts';
import { fallbackTransport } from '../fallback-transport.ts';
import { relayTransport } from '../relay-transport.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import { socketTransport } from '../socket-transport.ts';
import { visitByBrowser } from './browser-socket.ts';
import { peerTransport } from './peer-transport.ts';

export function browserTransport(signaling: Signaling, welcome: Welcome, coordinatorUrl: string): Transport {
  const shared = { signaling, clock: systemClock, random: systemRandom };
  const socket = socketTransport({ ...shared, visit: visitByBrowser(coordinatorUrl) });
  const relay = relayTransport(shared);
  if (typeof RTCPeerConnection === 'undefined') return fallbackTransport(socket, relay);
  const direct = peerTransport({ ...shared, iceServers: welcome.iceServers, Peer: SimplePeer });
  return fallbackTransport(socket, fallbackTransport(direct, relay));
}
