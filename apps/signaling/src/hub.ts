/**
 * The driver of the mesh's picture: sockets in, the cluster's decisions out. Validates every word at the door and
 * passes on what peers say to each other.
 */
import { randomBytes } from 'node:crypto';
import {
  MeshError,
  parseWith,
  peerIdSchema,
  PING_INTERVAL_MS,
  RELAY_PACKET_BYTES_MAX,
  SIGNALING_MESSAGE_BYTES_MAX,
  upMessageSchema,
  type DownMessage,
  type LinkWriting,
  type PeerId,
  type ReasonCode,
  type Role,
  type TrafficMessage,
  type UpMessage,
  type WatchReply,
} from '@shoal/protocol';
import {
  createCluster,
  knownWritings,
  modelKey,
  placementOf,
  updateCluster,
  type ClusterEvent,
  type ClusterState,
  type ClusterTiming,
  type ServedModel,
} from '@shoal/scheduling';
import type { Server, Socket } from 'socket.io';
import * as z from 'zod/mini';
import type { Admission } from './admission.ts';
import type { Metrics } from './metrics.ts';
import type { ModelVersion } from './model-version.ts';
import { Planner } from './planner.ts';
import { ShardTracker } from './shard-tracker.ts';
import type { VersionDirector } from './version-director.ts';

/** A relayed packet that its receiver has not taken in this time is reported as lost to its sender. */
const RELAY_DEADLINE_MS = 10_000;

const relaySchema = z.tuple([
  peerIdSchema,
  z.string().check(z.maxLength(64)),
  z.instanceof(Uint8Array).check(z.refine((packet) => packet.length <= RELAY_PACKET_BYTES_MAX)),
]);

export interface HubParts {
  readonly io: Server;
  readonly admission: Admission;
  readonly director: VersionDirector;
  readonly metrics: Metrics;
  readonly mesh: string;
  readonly timing?: ClusterTiming | undefined;
  readonly iceServers: Extract<DownMessage, { type: 'welcome' }>['iceServers'];
  readonly log: (line: string) => void;
}

type SocketData = { peerId: PeerId; role: Role; session: string };

export class Hub {
  readonly state: ClusterState;
  readonly shards: ShardTracker;
  readonly #parts: HubParts;
  readonly #sockets = new Map<PeerId, Socket>();
  readonly #planner = new Planner();
  readonly #timer: NodeJS.Timeout;
  #directing: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(parts: HubParts) {
    this.#parts = parts;
    this.state = createCluster(randomBytes(6).toString('hex'), parts.timing);
    const { io, metrics, log } = parts;
    this.shards = new ShardTracker({ metrics, log, send: (to, message) => this.#send(to, message) });
    io.use((socket, next) => {
      this.#admit(socket).then(
        () => next(),
        (error: unknown) => next(refusal(error)),
      );
    });
    io.on('connection', (socket) => this.#onConnection(socket));
    this.#timer = setInterval(() => this.feed({ type: 'tick', nowMs: Date.now() }), PING_INTERVAL_MS);
  }

  /** Ends quietly: the coordinator goes, the peers' links to each other stay. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearImmediate(this.#directing);
    this.#planner.close();
  }

  /** Takes a model version into service. */
  addModel(version: ModelVersion): void {
    const { manifest, manifestDigest, profile, unsliced, ops, placement, batching } = version;
    const { errorBudget, codecs, codecsProblem } = version;
    const { model, signatures, classNames, rowsIndependent, weightBytes, memoryBytes } = manifest;
    const served: ServedModel = {
      info: {
        model,
        version: manifest.version,
        signatures,
        classNames,
        rowsIndependent,
        weightBytes,
        ...(batching === undefined ? {} : { batching }),
        ...(errorBudget === undefined ? {} : { errorBudget }),
      },
      manifestPath: `/models/${model}/${manifest.version}/manifest.json`,
      manifestDigest,
      memoryBytes,
      layers: manifest.layers,
      profile,
      codecs,
      goldenVectors: manifest.golden.length,
      placement,
      ops,
      ...(unsliced === null ? {} : { unsliced }),
    };
    const wantsStages = placement.mode === 'pipeline' || placement.mode === 'hybrid' || (placement.stages ?? 1) > 1;
    if (unsliced !== null && wantsStages)
      this.#parts.log(`model ${model} is served whole, although serving.json asks for stages: ${unsliced}`);
    if (codecsProblem !== null) this.#parts.log(`model ${model} version ${manifest.version}: ${codecsProblem}`);
    this.shards.addModel(manifest);
    this.feed({ type: 'model-added', nowMs: Date.now(), model: served });
  }

  removeModel(key: string): void {
    this.shards.removeModel(key);
    this.feed({ type: 'model-removed', nowMs: Date.now(), modelKey: key });
  }

  /** Tells all who watch any version of a model what is in force. */
  tell(traffic: TrafficMessage): void {
    for (const { id, watching } of this.state.peers.values()) {
      if ([...watching.keys()].some((key) => key.startsWith(`${traffic.model}/`)))
        this.#sockets.get(id)?.emit('down', traffic);
    }
  }

  /** Hands an event to the cluster and carries out what it decides. */
  feed(event: ClusterEvent): void {
    if (event.type !== 'pong') this.#directSoon();
    for (const effect of updateCluster(this.state, event)) {
      switch (effect.type) {
        case 'send':
          this.#send(effect.to, effect.message);
          break;
        case 'plan': {
          const { id } = effect.ask;
          this.#planner.ask(effect.ask, (answer) =>
            this.feed({ type: 'planned', nowMs: Date.now(), askId: id, answer }),
          );
          break;
        }
        case 'evict': {
          const socket = this.#sockets.get(effect.peer);
          this.#sockets.delete(effect.peer);
          this.shards.left(effect.peer);
          this.#parts.log(`${effect.peer} evicted: ${effect.code}`);
          socket?.disconnect(true);
          break;
        }
      }
    }
  }

  #send(to: PeerId, message: DownMessage): void {
    this.#sockets.get(to)?.emit('down', message);
  }

  /** Once in a turn of the event loop, however much has happened in it. */
  #directSoon(): void {
    if (this.#directing !== undefined) return;
    this.#directing = setImmediate(() => {
      this.#directing = undefined;
      this.#parts.director.update();
    });
  }

  async #admit(socket: Socket): Promise<void> {
    try {
      const { peerId, role, session } = await this.#parts.admission.admit(socket.handshake.auth);
      Object.assign(socket.data, { peerId, role, session } satisfies SocketData);
      this.#parts.metrics.joins.inc({ role, code: 'OK' });
    } catch (error) {
      this.#parts.metrics.joins.inc({ role: 'unknown', code: MeshError.from(error).code });
      throw error;
    }
  }

  #onConnection(socket: Socket): void {
    const { peerId, role, session } = socket.data as SocketData;
    const nowMs = Date.now();
    // The same peer on a new socket: the old one is dead, whether or not its end was noticed.
    const former = this.#sockets.get(peerId);
    this.#sockets.set(peerId, socket);
    former?.disconnect(true);
    if (!this.state.peers.has(peerId)) this.feed({ type: 'joined', nowMs, peer: peerId, role });
    const { mesh, iceServers, log } = this.#parts;
    socket.emit('down', { type: 'welcome', peerId, session, mesh, iceServers } satisfies DownMessage);
    log(`${peerId} joined`);

    socket.on('up', (raw: unknown) => this.#guarded(socket, 'message', () => this.#onUp(peerId, raw)));
    socket.on('watch', (raw: unknown, answer: unknown) => {
      if (typeof answer === 'function') answer(this.#onWatch(peerId, raw));
    });
    socket.on('relay', (...raw: unknown[]) => {
      const answer = raw.at(-1);
      if (typeof answer !== 'function') return;
      this.#onRelay(peerId, raw.slice(0, 3)).then(
        () => answer('ok'),
        (error: unknown) => answer(asData(error)),
      );
    });
    socket.on('disconnect', (reason) => {
      if (this.#closed || this.#sockets.get(peerId) !== socket) return;
      this.#leave(peerId, 'PEER_LEFT', reason);
    });
  }

  #leave(peerId: PeerId, code: ReasonCode, reason: string): void {
    this.#sockets.delete(peerId);
    this.#parts.log(`${peerId} left: ${reason}`);
    this.shards.left(peerId);
    this.feed({ type: 'left', nowMs: Date.now(), peer: peerId, code });
  }

  #onUp(peer: PeerId, raw: unknown): void {
    const message: UpMessage = parseWith(upMessageSchema, raw, 'signaling message');
    const nowMs = Date.now();
    switch (message.type) {
      case 'register':
        return this.feed({ type: 'registered', nowMs, peer, profile: message.profile, holds: message.holds });
      case 'pong':
        if (message.shards !== undefined) this.shards.figures(peer, message.shards);
        return this.feed({ ...message, type: 'pong', nowMs, peer });
      case 'links':
        this.#countWritings(message.wrote ?? []);
        return this.feed({ ...message, type: 'links', nowMs, peer });
      case 'assignment':
        return this.feed({ type: 'assignment', nowMs, peer, status: message });
      case 'surveyed':
        if (message.code !== undefined)
          this.#parts.log(`${peer} could not survey ${message.model}: ${message.code}: ${message.reason ?? ''}`);
        return this.feed({ type: 'surveyed', nowMs, peer, message });
      case 'proved':
        if (message.code !== undefined)
          this.#parts.log(`golden vectors that ${peer} ran: ${message.code}: ${message.reason ?? ''}`);
        return this.feed({ type: 'proved', nowMs, peer, message });
      case 'signal': {
        const bytes = JSON.stringify(message.payload ?? null).length;
        if (bytes > SIGNALING_MESSAGE_BYTES_MAX) {
          throw new MeshError('TOO_LARGE', `payload of ${bytes} bytes, limit ${SIGNALING_MESSAGE_BYTES_MAX} bytes`);
        }
        const down: DownMessage = { type: 'signal', from: peer, payload: message.payload };
        this.#socketOf(message.to).emit('down', down);
        return;
      }
      case 'unwatch':
        return this.feed({ type: 'unwatched', nowMs, peer, modelKey: modelKey(message.model, message.version) });
      case 'leaving': {
        const socket = this.#sockets.get(peer);
        this.#leave(peer, message.code, `said goodbye: ${message.code}`);
        socket?.disconnect(true);
        return;
      }
      case 'shards-wanted':
      case 'shards-held':
      case 'shard-fault':
        return this.shards.hear(peer, this.state.peers.get(peer)?.role ?? 'client', message);
      case 'watch':
        throw new MeshError('BAD_FRAME', 'watch is an event of its own, with an acknowledgement');
    }
  }

  #countWritings(writings: readonly LinkWriting[]): void {
    const { linkBytes, linkPlainBytes } = this.#parts.metrics;
    for (const { model, version, cut, codec, bytes, plainBytes } of knownWritings(this.state, writings)) {
      const labels = { model: modelKey(model, version), cut, codec };
      linkBytes.inc(labels, bytes);
      linkPlainBytes.inc(labels, plainBytes);
    }
  }

  #onWatch(peer: PeerId, raw: unknown): WatchReply {
    try {
      const message = parseWith(upMessageSchema, raw, 'watch');
      if (message.type !== 'watch') throw new MeshError('BAD_FRAME', `watch: type is ${message.type}`);
      const { director } = this.#parts;
      const info = director.resolve(message.model, message.version, message.label);
      const traffic = director.traffic(info.model);
      if (traffic === undefined) throw new MeshError('MODEL_NOT_FOUND', `no model is named "${info.model}"`);
      const key = modelKey(info.model, info.version);
      const { mode, errorBudget } = message;
      this.feed({ type: 'watching', nowMs: Date.now(), peer, modelKey: key, mode, errorBudget });
      return { ok: true, info, placement: placementOf(this.state, key), traffic };
    } catch (error) {
      const { code, reason } = MeshError.from(error);
      return { ok: false, code, reason };
    }
  }

  async #onRelay(from: PeerId, raw: unknown[]): Promise<void> {
    const [to, connection, packet] = parseWith(relaySchema, raw, 'relayed packet') as [PeerId, string, Uint8Array];
    const socket = this.#socketOf(to);
    try {
      await socket.timeout(RELAY_DEADLINE_MS).emitWithAck('relay', from, connection, packet);
    } catch (error) {
      throw new MeshError('LINK_FAILED', `peer ${to} did not take a relayed packet in ${RELAY_DEADLINE_MS} ms`, {
        cause: error,
      });
    }
    this.#parts.metrics.relayedBytes.inc(packet.length);
  }

  #socketOf(peer: PeerId): Socket {
    const socket = this.#sockets.get(peer);
    if (socket === undefined) throw new MeshError('PEER_UNKNOWN', `no peer ${peer} is in this mesh`);
    return socket;
  }

  /** What a peer said wrong is told to it, and harms nobody else. */
  #guarded(socket: Socket, about: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      const { code, reason } = MeshError.from(error);
      socket.emit('down', { type: 'refused', about, code, reason: reason.slice(0, 2000) } satisfies DownMessage);
    }
  }
}

const asData = (error: unknown): { code: ReasonCode; reason: string } => {
  const { code, reason } = MeshError.from(error);
  return { code, reason };
};

/** socket.io hands `data` of a middleware's error to the client's `connect_error`. */
function refusal(error: unknown): Error {
  const meshError = MeshError.from(error);
  return Object.assign(new Error(meshError.message), { data: asData(meshError) });
}
