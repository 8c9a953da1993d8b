/**
 * The in-memory transport: peers of one `MemoryNetwork` reach each other in the same process. Delivery is a
 * microtask later by default; a test may hold packets back and let them go in its own time, or cut peers off.
 */
import { MeshError, type PeerId } from '@shoal/protocol';
import {
  LOW_WATER_BYTES,
  type Connection,
  type ConnectionHandler,
  type DialOptions,
  type Transport,
} from './connection.ts';
import { Inbox } from './inbox.ts';

class MemoryConnection implements Connection {
  readonly kind = 'memory';
  readonly inbox = new Inbox();
  #other: MemoryConnection | undefined;
  readonly #network: MemoryNetwork;
  readonly #ended: () => void;
  #bufferedBytes = 0;
  /** At the end of a cut wire packets pile up, as they do in a real one's buffer. */
  #state: 'open' | 'cut' | 'closed' = 'open';

  private constructor(network: MemoryNetwork, ended: () => void) {
    this.#network = network;
    this.#ended = ended;
  }

  /** Two ends of a wire; `ended` is called when nothing passes any more. */
  static pair(network: MemoryNetwork, ended: () => void): [MemoryConnection, MemoryConnection] {
    const a = new MemoryConnection(network, ended);
    const b = new MemoryConnection(network, ended);
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  send(packet: Uint8Array<ArrayBuffer>): void {
    const other = this.#other;
    if (this.#state === 'closed' || other === undefined) return;
    this.#bufferedBytes += packet.length;
    if (this.#state === 'cut') return;
    const copy = packet.slice();
    this.#network.deliver(() => {
      if (this.#state === 'cut') return;
      const before = this.#bufferedBytes;
      this.#bufferedBytes -= copy.length;
      if (other.#state === 'open') other.inbox.packet(copy);
      if (before > LOW_WATER_BYTES && this.#bufferedBytes <= LOW_WATER_BYTES) this.inbox.drain();
    });
  }

  close(): void {
    this.inbox.mute();
    const other = this.#other;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    if (!wasOpen || other === undefined) return;
    this.#network.deliver(() => {
      this.#ended();
      // Cut off meanwhile, or closed as well: there is nobody to tell.
      if (other.#state !== 'open') return;
      other.#state = 'closed';
      other.inbox.closed(new MeshError('LINK_FAILED', 'the other side closed the connection'));
    });
  }

  /** The wire is cut at this end: nothing passes, and nobody is told. */
  cut(): void {
    if (this.#state === 'open') this.#state = 'cut';
    this.#ended();
  }
}

interface Wire {
  readonly peers: readonly [PeerId, PeerId];
  readonly ends: readonly [MemoryConnection, MemoryConnection];
}

export class MemoryNetwork {
  readonly #transports = new Map<PeerId, MemoryTransport>();
  readonly #wires = new Set<Wire>();
  #held: (() => void)[] | undefined;

  /** The transport of one peer. */
  transport(self: PeerId): Transport {
    const transport = new MemoryTransport(this, self);
    this.#transports.set(self, transport);
    return transport;
  }

  /** From now on nothing is delivered before `flush`. */
  hold(): void {
    this.#held ??= [];
  }

  /** Deliveries that are held. */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  /** Delivers what is held, oldest first, up to `most` deliveries; holding goes on. */
  flush(most = Number.POSITIVE_INFINITY): void {
    for (let done = 0; done < most; done++) {
      const task = this.#held?.shift();
      if (task === undefined) return;
      task();
    }
  }

  /** Cuts a peer off without a word, as a crashed tab or a pulled cable does. */
  cut(peer: PeerId): void {
    this.#transports.delete(peer);
    for (const { peers, ends } of [...this.#wires]) {
      if (peers.includes(peer)) for (const end of ends) end.cut();
    }
  }

  deliver(task: () => void): void {
    if (this.#held === undefined) queueMicrotask(task);
    else this.#held.push(task);
  }

  connect(from: PeerId, to: PeerId): Connection {
    const target = this.#transports.get(to);
    if (target === undefined) throw new MeshError('PEER_UNKNOWN', `no peer ${to} in this network`);
    const ends = MemoryConnection.pair(this, () => this.#wires.delete(wire));
    const wire: Wire = { peers: [from, to], ends };
    this.#wires.add(wire);
    target.accept(from, ends[1]);
    return ends[0];
  }

  /** Forgets a transport that was closed; a later one of the same peer stays. */
  remove(peer: PeerId, transport: MemoryTransport): void {
    if (this.#transports.get(peer) === transport) this.#transports.delete(peer);
  }
}

class MemoryTransport implements Transport {
  readonly #network: MemoryNetwork;
  readonly #self: PeerId;
  #accept: ((from: PeerId, connection: Connection) => void) | undefined;
  #closed = false;

  constructor(network: MemoryNetwork, self: PeerId) {
    this.#network = network;
    this.#self = self;
  }

  async dial(peer: PeerId, options: DialOptions): Promise<Connection> {
    if (this.#closed) throw new MeshError('CLOSED', 'this transport is closed');
    if (options.signal?.aborted === true) throw new MeshError('CANCELLED');
    return this.#network.connect(this.#self, peer);
  }

  onConnection(accept: (from: PeerId, connection: Connection) => void): void {
    this.#accept = accept;
  }

  accept(from: PeerId, connection: Connection): void {
    if (this.#accept === undefined) connection.close();
    else this.#accept(from, connection);
  }

  close(): void {
    this.#closed = true;
    this.#network.remove(this.#self, this);
  }
}
