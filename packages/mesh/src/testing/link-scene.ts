/** Two peers on a held network with a clock of the test's own: a link at one end or at both. */
import { ManualClock } from '@shoal/base';
import {
  decodePacket,
  encodePacket,
  peerId,
  type ChannelMessage,
  type MeshError,
  type Packet,
  type PeerId,
} from '@shoal/protocol';
import type { Connection } from '../connection.ts';
import { Link, type LinkOptions } from '../link.ts';
import { MemoryNetwork } from '../memory-transport.ts';

export const ALICE: PeerId = peerId('alice');
export const BOB: PeerId = peerId('bob');

/** One end of a link, and what its handler was told. */
export interface LinkEnd {
  readonly link: Link;
  readonly connection: Connection;
  readonly messages: { readonly message: ChannelMessage; readonly bodies: readonly Uint8Array[] }[];
  readonly ends: MeshError[];
  /** What the handler does with a message besides noting it; a promise keeps the message's credit. */
  onMessage: (message: ChannelMessage, link: Link) => void | Promise<void>;
}

/** One end without a link: speaks packets, and notes those that come. */
export interface RawEnd {
  readonly connection: Connection;
  readonly packets: Packet[];
  readonly ends: MeshError[];
  send(packet: Packet): void;
}

export class LinkScene {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();

  constructor() {
    this.network.hold();
  }

  /** A link at each end. */
  async links(options: LinkOptions = {}): Promise<{ readonly alice: LinkEnd; readonly bob: LinkEnd }> {
    const [ours, theirs] = await this.#wire();
    return { alice: this.#end(BOB, ours, options), bob: this.#end(ALICE, theirs, options) };
  }

  /** A link at alice's end, and bare packets at bob's. */
  async linkAndPackets(options: LinkOptions = {}): Promise<{ readonly alice: LinkEnd; readonly bob: RawEnd }> {
    const [ours, connection] = await this.#wire();
    const packets: Packet[] = [];
    const ends: MeshError[] = [];
    connection.attach({
      packet: (bytes) => packets.push(decodePacket(bytes)),
      drain: () => {},
      closed: (error) => ends.push(error),
    });
    const send = (packet: Packet): void => connection.send(encodePacket(packet));
    return { alice: this.#end(BOB, ours, options), bob: { connection, packets, ends, send } };
  }

  /** Delivers all that is on its way, and what that sets off, until nothing moves. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 10; quiet++) {
      if (this.network.held > 0) quiet = 0;
      this.network.flush();
      await Promise.resolve();
    }
  }

  /** Lets time pass second by second, with delivery after each. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.clock.advance(Math.min(1000, left));
      await this.settle();
    }
  }

  async #wire(): Promise<[Connection, Connection]> {
    const taken: Connection[] = [];
    this.network.transport(BOB).onConnection((_, connection) => taken.push(connection));
    const ours = await this.network.transport(ALICE).dial(BOB, { deadlineMs: 1000 });
    const [theirs] = taken;
    if (theirs === undefined) throw new Error('no connection came');
    return [ours, theirs];
  }

  #end(peer: PeerId, connection: Connection, options: LinkOptions): LinkEnd {
    const messages: LinkEnd['messages'] = [];
    const ends: MeshError[] = [];
    const handler = {
      message: (link: Link, message: ChannelMessage, bodies: readonly Uint8Array[]) => {
        messages.push({ message, bodies });
        return end.onMessage(message, link);
      },
      closed: (_: Link, error: MeshError) => void ends.push(error),
    };
    const link = new Link(peer, connection, this.clock, handler, options);
    const end: LinkEnd = { link, connection, messages, ends, onMessage: () => {} };
    return end;
  }
}
