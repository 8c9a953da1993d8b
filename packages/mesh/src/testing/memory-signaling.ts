/**
 * The signaling port in memory: peers of one `MemoryCoordinator` hear each other through it as they would through
 * the real one. Words cross as JSON, a microtask later. The test says what is served, and when a line is lost.
 */
import { MeshError, peerId, type DownMessage, type PeerId, type ReasonCode, type UpMessage } from '@shoal/protocol';
import type { WatchReply } from '@shoal/protocol';
import { createNanoEvents } from 'nanoevents';
import type { Signaling, SignalingState, Welcome } from '../signaling.ts';

type WatchMessage = Extract<UpMessage, { type: 'watch' }>;

interface SignalingEvents {
  message: (message: DownMessage) => void;
  state: (state: SignalingState, error: MeshError | null) => void;
  relay: (from: PeerId, connection: string, packet: Uint8Array) => void;
}

export class MemorySignaling implements Signaling {
  readonly self: PeerId;
  readonly #coordinator: MemoryCoordinator;
  readonly #events = createNanoEvents<SignalingEvents>();
  #state: SignalingState = 'open';

  constructor(self: PeerId, coordinator: MemoryCoordinator) {
    this.self = self;
    this.#coordinator = coordinator;
  }

  get state(): SignalingState {
    return this.#state;
  }

  send(message: UpMessage): void {
    if (this.#state === 'open') this.#coordinator.up(this.self, JSON.parse(JSON.stringify(message)) as UpMessage);
  }

  async watch(message: WatchMessage): Promise<WatchReply> {
    if (this.#state !== 'open') throw new MeshError('COORDINATOR_LOST');
    return this.#coordinator.answerWatch(this.self, message);
  }

  onMessage(listener: SignalingEvents['message']): () => void {
    return this.#events.on('message', listener);
  }

  onState(listener: SignalingEvents['state']): () => void {
    return this.#events.on('state', listener);
  }

  async relay(to: PeerId, connection: string, packet: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw new MeshError('COORDINATOR_LOST');
    await this.#coordinator.relay(this.self, to, connection, packet.slice());
  }

  onRelay(listener: SignalingEvents['relay']): () => void {
    return this.#events.on('relay', listener);
  }

  close(): void {
    this.enter('closed', null);
    this.#coordinator.forget(this.self, this);
  }

  /** What comes down the line. */
  hear(message: DownMessage): void {
    if (this.#state === 'open') this.#events.emit('message', message);
  }

  hearRelay(from: PeerId, connection: string, packet: Uint8Array): void {
    if (this.#state === 'open') this.#events.emit('relay', from, connection, packet);
  }

  enter(state: SignalingState, error: MeshError | null): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#events.emit('state', state, error);
  }
}

export class MemoryCoordinator {
  /** Answers `watch`; a test puts its own in place. */
  onWatch: (from: PeerId, message: WatchMessage) => WatchReply | Promise<WatchReply> = (_from, { model }) => ({
    ok: false,
    code: 'MODEL_NOT_FOUND',
    reason: `no model is named "${model}"`,
  });
  /** What peers said besides signals to each other. */
  readonly heard: { readonly from: PeerId; readonly message: UpMessage }[] = [];
  readonly #lines = new Map<PeerId, MemorySignaling>();

  /** Admits a peer under this id. */
  join(id: string): MemorySignaling {
    const line = new MemorySignaling(peerId(id), this);
    this.#lines.set(line.self, line);
    return line;
  }

  welcome(id: string): Welcome {
    return { type: 'welcome', peerId: peerId(id), session: 'session', mesh: 'test mesh', iceServers: [] };
  }

  /** Says something to one peer. */
  tell(to: PeerId, message: DownMessage): void {
    queueMicrotask(() => this.#lines.get(to)?.hear(message));
  }

  /** The line of a peer breaks; the others are told nothing. */
  lose(id: PeerId): void {
    this.#lines.get(id)?.enter('lost', new MeshError('COORDINATOR_LOST', 'the line broke'));
  }

  /** The line is back. */
  restore(id: PeerId): void {
    this.#lines.get(id)?.enter('open', null);
  }

  /** A peer is gone; the others are told. */
  evict(id: PeerId, code: ReasonCode = 'PEER_LEFT'): void {
    this.#lines.delete(id);
    for (const other of this.#lines.keys()) this.tell(other, { type: 'peer-left', peerId: id, code });
  }

  forget(id: PeerId, line: MemorySignaling): void {
    if (this.#lines.get(id) === line) this.evict(id);
  }

  up(from: PeerId, message: UpMessage): void {
    if (message.type !== 'signal') {
      this.heard.push({ from, message });
      return;
    }
    const { to, payload } = message;
    if (this.#lines.has(to)) return this.tell(to, { type: 'signal', from, payload });
    this.tell(from, {
      type: 'refused',
      about: 'message',
      code: 'PEER_UNKNOWN',
      reason: `no peer ${to} is in this mesh`,
    });
  }

  async answerWatch(from: PeerId, message: WatchMessage): Promise<WatchReply> {
    return this.onWatch(from, message);
  }

  async relay(from: PeerId, to: PeerId, connection: string, packet: Uint8Array): Promise<void> {
    // Packets and signals share the real coordinator's sockets: they keep their order.
    await new Promise<void>((resolve, reject) => {
      queueMicrotask(() => {
        const line = this.#lines.get(to);
        if (line?.state !== 'open') return reject(new MeshError('PEER_UNKNOWN', `no peer ${to} is in this mesh`));
        line.hearRelay(from, connection, packet);
        resolve();
      });
    });
  }
}
