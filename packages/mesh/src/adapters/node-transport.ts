/** How a Node.js process reaches its peers: WebSocket where one side listens, WebRTC by @roamhq/wrtc, else the relay. */
import { systemClock, systemRandom } from '@shoal/base/system';
import wrtc from '@roamhq/wrtc';
import SimplePeer from 'simple-peer';
import type { Transport } from '../connection.ts';
import { fallbackTransport } from '../fallback-transport.ts';
import { relayTransport } from '../relay-transport.ts';
import type { Signaling, Welcome } from '../signaling.ts';
import { socketTransport, type PeerListener } from '../socket-transport.ts';
import { visitFromNode } from './node-socket.ts';
import { peerTransport } from './peer-transport.ts';

export { HttpPeerListener } from './node-socket.ts';

/** @param listener where this process is visited, if it is */
export function nodeTransport(
  signaling: Signaling,
  welcome: Welcome,
  coordinatorUrl: string,
  listener?: PeerListener,
): Transport {
  const shared = { signaling, clock: systemClock, random: systemRandom };
  const direct = peerTransport({ ...shared, iceServers: welcome.iceServers, Peer: SimplePeer, wrtc });
  const socket = socketTransport({ ...shared, visit: visitFromNode(coordinatorUrl), listener });
  return fallbackTransport(socket, fallbackTransport(direct, relayTransport(shared)));
}
