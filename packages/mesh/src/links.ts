/** A peer's links, one per neighbour, dialled when first needed. */
import type { Clock } from '@shoal/base';
import { DIAL_DEADLINE_MS, MeshError, type PeerId, type ReasonCode } from '@shoal/protocol';
import type { Connection, Transport } from './connection.ts';
import { Link, type LinkHandler, type LinkOptions } from './link.ts';

export interface LinksHandler extends LinkHandler {
  /** A link is there to be used, whoever dialled. */
  opened?(link: Link): void;
}

export class Links {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #handler: LinksHandler;
  readonly #options: LinkOptions;
  /** More than one where both sides dialled at the same moment; either serves. */
  readonly #links = new Map<PeerId, Set<Link>>();
  readonly #dialling = new Map<PeerId, Promise<Link>>();
  #closed = false;

  constructor(transport: Transport, clock: Clock, handler: LinksHandler, options: LinkOptions = {}) {
    this.#options = options;
    this.#transport = transport;
    this.#clock = clock;
    this.#handler = {
      message: (link, message, bodies) => {
        // Packets that came before the link was made are read while it is made.
        this.#keep(link);
        return handler.message(link, message, bodies);
      },
      closed: (link, error) => {
        if (this.#forget(link)) handler.closed(link, error);
      },
      opened: (link) => handler.opened?.(link),
    };
    transport.onConnection((from, connection) => {
      if (this.#closed) connection.close();
      else this.#add(from, connection);
    });
  }

  /** The open link to a peer, if there is one. */
  get(peer: PeerId): Link | undefined {
    for (const link of this.#links.get(peer) ?? []) if (link.isOpen) return link;
    return undefined;
  }

  all(): Link[] {
    return [...this.#links.values()].flatMap((links) => [...links]).filter((link) => link.isOpen);
  }

  /**
   * The link to a peer, dialled if need be; callers at the same time share one dial.
   * @throws MeshError by the time the transport gives up dialling
   */
  async reach(peer: PeerId): Promise<Link> {
    const open = this.get(peer);
    if (open !== undefined) return open;
    if (this.#closed) throw new MeshError('CLOSED');
    const underWay = this.#dialling.get(peer);
    if (underWay !== undefined) return underWay;
    const dial = this.#dial(peer).finally(() => this.#dialling.delete(peer));
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
    for (const peer of [...this.#links.keys()]) this.drop(peer, code);
  }

  async #dial(peer: PeerId): Promise<Link> {
    try {
      const connection = await this.#transport.dial(peer, { deadlineMs: DIAL_DEADLINE_MS });
      if (!this.#closed) return this.#add(peer, connection);
      connection.close();
    } catch (error) {
      // The peer may have got through to here meanwhile.
      const open = this.get(peer);
      if (open !== undefined) return open;
      throw error;
    }
    throw new MeshError('CLOSED');
  }

  #add(peer: PeerId, connection: Connection): Link {
    const link = new Link(peer, connection, this.#clock, this.#handler, this.#options);
    this.#keep(link);
    return link;
  }

  /** Counts a link among the open ones; one that ended while it was made was never there. */
  #keep(link: Link): void {
    const links = this.#links.get(link.peer) ?? new Set();
    if (!link.isOpen || links.has(link)) return;
    links.add(link);
    this.#links.set(link.peer, links);
    this.#handler.opened?.(link);
  }

  #forget(link: Link): boolean {
    const links = this.#links.get(link.peer);
    const wasKept = links?.delete(link) ?? false;
    if (links?.size === 0) this.#links.delete(link.peer);
    return wasKept;
  }
}
