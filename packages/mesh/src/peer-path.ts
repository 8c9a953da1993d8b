/** Where peers that listen are found: beside the coordinator, on its port. Nobody is sent to any other address. */

/** Followed by the id of the connection. */
export const PEER_PATH = '/peer/';

/** @param coordinatorUrl `http://…` or `https://…`; its path does not count */
export function peerSocketUrl(coordinatorUrl: string, connection: string): string {
  const origin = /^https?:\/\/[^/?#]+/.exec(coordinatorUrl)?.[0] ?? coordinatorUrl;
  return origin.replace('http', 'ws') + PEER_PATH + connection;
}
