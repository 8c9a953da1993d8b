/**
 * Says to nodes what the dispatcher decided about microbatches: to run one, to go on with one along another route, or to
 * drop one. How they answer is for whoever decides.
 */
import type { Clock } from '@shoal/base';
import {
  MeshError,
  REQUEST_DEADLINE_MS_MAX,
  type ModelInfo,
  type PeerId,
  type PlacementMessage,
  type TensorData,
  type WorkMessage,
} from '@shoal/protocol';
import type { Flight, Part } from '@shoal/scheduling';
import { rowsOf, type CheckedInputs } from '@shoal/sharding';
import type { Link } from '../link.ts';
import type { Links } from '../links.ts';
import type { WrittenInputs } from '../sdk.ts';
import { BoundaryCodecs, errorAt, type LoadKernels } from './boundary-codecs.ts';
import type { TrafficCount } from './model-figures.ts';
import type { PendingRequest } from './pending-request.ts';

export interface FlightSenderParts {
  readonly self: PeerId;
  readonly links: Links;
  readonly clock: Clock;
  readonly loadKernels: LoadKernels;
  readonly info: ModelInfo;
  readonly traffic: TrafficCount;
  /** The one in force. */
  readonly placement: () => PlacementMessage;
  /** Whether the microbatch is neither settled nor given to another by now. */
  readonly isUnderWay: (flight: Flight) => boolean;
  /** It did not get on its way; the node is the first of its route. */
  readonly failed: (flight: Flight, node: PeerId, error: MeshError) => void;
}

interface WrittenWork {
  readonly message: WorkMessage;
  readonly bodies: readonly Uint8Array[];
}

export class FlightSender {
  readonly #parts: FlightSenderParts;
  readonly #codecs: BoundaryCodecs;
  readonly #written = new WeakMap<Flight, WrittenInputs>();

  constructor(parts: FlightSenderParts) {
    this.#parts = parts;
    this.#codecs = new BoundaryCodecs(parts.loadKernels);
  }

  /** How its inputs were written; null where it was not sent from here. */
  written(flight: Flight): WrittenInputs | null {
    return this.#written.get(flight) ?? null;
  }

  /** @param pending the requests of its parts, in that order */
  async send(flight: Flight, epoch: number, pending: readonly PendingRequest[]): Promise<void> {
    const { links, traffic, isUnderWay, failed } = this.#parts;
    const [first] = flight.route;
    if (first === undefined) return;
    try {
      const link = links.get(first) ?? (await links.reach(first));
      // The dial took time.
      if (!isUnderWay(flight)) return;
      const { message, bodies } = this.#write(flight, epoch, pending, link);
      traffic.sent(message.tensors);
      // It settles once all of them are copied into packets.
      await link.send(message, bodies);
      this.#codecs.reuse(bodies);
    } catch (error) {
      failed(flight, first, sendError(error));
    }
  }

  /** Its rows of the requests' inputs, coded as the error budget allows and the link suggests. */
  #write(flight: Flight, epoch: number, pending: readonly PendingRequest[], { sendBytesPerMs }: Link): WrittenWork {
    const { self, clock, info, placement } = this.#parts;
    const { requestId, microbatch, attempt, parts, rows, route } = flight;
    // Requests of one stream ask for the same.
    const { signature, signatureName, errorBudget } = (pending[0] as PendingRequest).request;
    const codecs = this.#codecs.within(errorBudget, placement());
    const named = Object.keys(signature.inputs).map(
      (name) => [name, pending.map(({ request: { inputs } }, i) => rowsAsked(inputs, name, parts[i] as Part))] as const,
    );
    const { encoded, sent } = this.#codecs.encode(named, codecs[0], sendBytesPerMs, clock);
    this.#written.set(flight, { ...sent, error: errorAt(placement(), 0, sent.codec) });
    const deadlineAtMs = Math.max(...pending.map((each) => each.deadlineAtMs));
    const message: WorkMessage = {
      type: 'work',
      requestId,
      microbatch,
      attempt,
      epoch,
      model: info.model,
      version: info.version,
      signature: signatureName,
      stage: 0,
      route: [...route],
      replyTo: self,
      ...(codecs.length === 0 ? {} : { codecs: [...codecs] }),
      rows,
      deadlineMs: Math.min(REQUEST_DEADLINE_MS_MAX, Math.max(0, deadlineAtMs - clock.nowMs())),
      timings: [],
      tensors: encoded.map(({ header }) => header),
    };
    return { message, bodies: encoded.map(({ data }) => data) };
  }

  /** Asks those who may have it to go on with a microbatch along its new route. */
  async resume(flight: Flight, epoch: number): Promise<void> {
    const { links, self, isUnderWay, failed } = this.#parts;
    const { requestId, microbatch, attempt, route, asked } = flight;
    for (const [i, peer] of asked.entries()) {
      try {
        const link = links.get(peer) ?? (await links.reach(peer));
        // The dial took time.
        if (!isUnderWay(flight)) return;
        const about = { requestId, microbatch, attempt, epoch };
        const ask = asked.slice(i + 1);
        return await link.send({ type: 'resume', ...about, route: [...route], replyTo: self, ask });
      } catch {
        // Perhaps the one before it has kept what it was given.
      }
    }
    failed(flight, route[0] as PeerId, new MeshError('NOT_KEPT'));
  }

  revoke(flight: Flight, epoch: number): void {
    const { requestId, microbatch, attempt, route } = flight;
    for (const node of route) {
      const sent = this.#parts.links.get(node)?.send({ type: 'cancel', requestId, microbatch, attempt, epoch });
      // A link that ends before the cancel is out needs none: its node drops the work with it.
      sent?.catch(() => {});
    }
  }
}

function rowsAsked({ tensors, splittable }: CheckedInputs, name: string, { start, end }: Part): TensorData {
  const tensor = tensors[name] as TensorData;
  return splittable ? rowsOf(tensor, start, end) : tensor;
}

/** What the caller itself did wrong is final; whatever else befalls a link is worth another node. */
function sendError(error: unknown): MeshError {
  const meshError = MeshError.from(error, 'LINK_FAILED');
  if (meshError.retryable || meshError.code === 'TOO_LARGE') return meshError;
  return new MeshError('LINK_FAILED', meshError.message, { cause: meshError });
}
