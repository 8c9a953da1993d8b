/** How a page comes to a peer that listens: by the browser's WebSocket, on the coordinator's origin. */
import { systemClock } from '@shoal/base/system';
import { MeshError } from '@shoal/protocol';
import { peerSocketUrl } from '../peer-path.ts';
import { SocketConnection } from '../socket-connection.ts';
import type { SocketTransportParts } from '../socket-transport.ts';

export const visitByBrowser =
  (coordinatorUrl: string): SocketTransportParts['visit'] =>
  (id, signal) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(peerSocketUrl(coordinatorUrl, id));
      socket.binaryType = 'arraybuffer';
      const connection = new SocketConnection(socket, systemClock);
      socket.onopen = () => resolve(connection);
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        if (data instanceof ArrayBuffer) connection.received(new Uint8Array(data));
        else connection.ended('a peer sent text on a WebSocket for packets');
      };
      socket.onclose = ({ code }) => {
        connection.ended(`the WebSocket closed with code ${code}`);
        reject(new MeshError('DIRECT_LINK_FAILED', `no WebSocket at the coordinator's address: code ${code}`));
      };
      signal.addEventListener('abort', () => socket.close(), { once: true });
    });
