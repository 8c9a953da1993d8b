/** The signaling port: a peer's line to the coordinator. Implementations live in `adapters/`. */
import type { DownMessage, PeerId, UpMessage, WatchReply } from '@shoal/protocol';

export type SignalingState = 'connecting' | 'open' | 'lost' | 'closed';

/** What `onWelcome` and the owner's other needs are told by. Every `on…` returns its own undoing. */
export interface Signaling {
  readonly state: SignalingState;
  /** Sends a word up; while the line is down it is dropped, for the next registration tells all that counts. */
  send(message: UpMessage): void;
  /**
   * Asks for a model and watches it.
   * @throws MeshError COORDINATOR_LOST or DEADLINE
   */
  watch(message: Extract<UpMessage, { type: 'watch' }>): Promise<WatchReply>;
  onMessage(listener: (message: DownMessage) => void): () => void;
  onState(listener: (state: SignalingState) => void): () => void;
  /** Sends a packet through the coordinator; settles when it was passed on. */
  relay(to: PeerId, connection: string, packet: Uint8Array): Promise<void>;
  onRelay(listener: (from: PeerId, connection: string, packet: Uint8Array) => void): () => void;
  close(): void;
}
