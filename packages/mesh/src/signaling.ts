/** The signaling port: a peer's line to the coordinator. Implementations live in `adapters/`. */
import {
  MeshError,
  type DownMessage,
  type Handshake,
  type PeerId,
  type UpMessage,
  type WatchReply,
} from '@shoal/protocol';

export type SignalingState = 'open' | 'lost' | 'closed';

/** Every `on…` returns its own undoing. */
export type Welcome = Extract<DownMessage, { type: 'welcome' }>;

/** Opens the line and waits for admission. */
export type OpenSignaling = (options: {
  readonly url: string;
  readonly handshake: Pick<Handshake, 'role' | 'invite'>;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}) => Promise<{ readonly signaling: Signaling; readonly welcome: Welcome }>;

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
  /** `lost` comes with the reason; `open` after it means that the coordinator has admitted this peer again. */
  onState(listener: (state: SignalingState, error: MeshError | null) => void): () => void;
  /** Sends a packet through the coordinator; settles when it was passed on. */
  relay(to: PeerId, connection: string, packet: Uint8Array): Promise<void>;
  onRelay(listener: (from: PeerId, connection: string, packet: Uint8Array) => void): () => void;
  close(): void;
}

/**
 * Settles when words get through: a dial that begins while the line is down waits, for its offer would be dropped.
 * @throws MeshError when the line will not be open again: why it was closed, or CLOSED
 */
export function lineOpen(signaling: Pick<Signaling, 'state' | 'onState'>): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const settle = (state: SignalingState, error: MeshError | null): boolean => {
      if (state === 'open') resolve();
      if (state === 'closed') reject(error ?? new MeshError('CLOSED', 'the line to the coordinator is closed'));
      return state !== 'lost';
    };
    if (settle(signaling.state, null)) return;
    const off = signaling.onState((state, error) => {
      if (settle(state, error)) off();
    });
  });
}
