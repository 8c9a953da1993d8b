/** A peer's links, one per neighbour, dialled when first needed. */
import type { Clock } from '@shoal/base';
import { DIAL_DEADLINE_MS, MeshError, type PeerId, type ReasonCode } from '@shoal/protocol';
import type { Connection, Transport } from './connection.ts';
import { Link, type LinkHandler } from './link.ts';

export class Links {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #handler: LinkHandler;
  /** More than one where both sides dialled at the same moment; either serves. */
  readonly #links = new Map<PeerId, Set<Link>>();
  readonly #dialling = new Map<PeerId, Promise<Link>>();
  #closed = false;

  constructor(transport: Transport, clock: Clock, handler: LinkHandler) {
    this.#transport = transport;
    this.#clock = clock;
    this.#handler = {
      message: (link, message, bodies) => handler.message(link, message, bodies),
      closed: (link, error) => {
        this.#forget(link);
        handler.closed(link, error);
      },
    };
    transport.onConnection((from, connection) => {
      if (this.#closed) connection.close();
      else this.#add(from, connection);
    });
  }

  /** The open link to a peer, if there is one. */
  get(peer: PeerId): Link | undefined {
    for (const link of this.#links.get(peer) ?? []) return link;
    return undefined;
  }

  all(): Link[] {
    return [...this.#links.values()].flatMap((links) => [...links]);
  }

  /**
   * The link to a peer, dialled if need be; callers at the same time share one dial.
   * @throws MeshError by the dial deadline
   */
  async reach(peer: PeerId): Promise<Link> {
    const open = this.get(peer);
    if (open !== undefined) return open;
    if (this.#closed) throw new MeshError('CLOSED');
    const underWay = this.#dialling.get(peer);
    if (underWay !== undefined) return underWay;
    const dial = this.#transport
      .dial(peer, { deadlineMs: DIAL_DEADLINE_MS })
      .then((connection) => {
        if (!this.#closed) return this.#add(peer, connection);
        connection.close();
        throw new MeshError('CLOSED');
      })
      .finally(() => this.#dialling.delete(peer));
    this.#dialling.set(peer, dial);
    return dial;
  }

  /** Ends the links to a peer. The handler is not told. */
  drop(peer: PeerId, code: ReasonCode): void {
    for (const link of this.#links.get(peer) ?? []) link.close(code);
    this.#links.delete(peer);
  }

  close(code: ReasonCode = 'CLOSED'): void {
    this.#closed = true;
    this.#transport.close();
    for (const peer of this.#links.keys()) this.drop(peer, code);
  }

  #add(peer: PeerId, connection: Connection): Link {
    const link = new Link(peer, connection, this.#clock, this.#handler);
    const links = this.#links.get(peer) ?? new Set();
    links.add(link);
    this.#links.set(peer, links);
    return link;
  }

  #forget(link: Link): void {
    const links = this.#links.get(link.peer);
    links?.delete(link);
    if (links?.size === 0) this.#links.delete(link.peer);
  }
}
