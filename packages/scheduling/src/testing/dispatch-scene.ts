/**
 * The dispatcher as a sequence diagram: say what happens, read what it does, one line per effect.
 * Microbatches are called by the rows they carry: `a[0,10)` is the newest one with rows `[0, 10)` of request `a`, and
 * `a[0,1)+b[0,1)` the newest with a row of each.
 */
import { MeshError, peerId, requestId, type ReasonCode, type RequestId, type StageTiming } from '@shoal/protocol';
import type { DispatchConfig, DispatchEffect, DispatchEvent, DispatchState, Flight } from '../dispatch-state.ts';
import { createDispatch, dispatch, nextWakeMs } from '../dispatch.ts';

type WithoutTime<Event> = Event extends unknown ? Omit<Event, 'nowMs'> : never;

export class DispatchScene {
  readonly state: DispatchState;
  /** What the last event made the dispatcher do. */
  effects: readonly DispatchEffect[] = [];
  readonly errors = new Map<RequestId, MeshError>();
  nowMs = 0;
  #epoch = 0;
  readonly #sent: Flight[] = [];

  constructor(config: Partial<DispatchConfig> = {}) {
    this.state = createDispatch(config);
  }

  /** Lets time pass up to `atMs`, waking the dispatcher as it asks to be. */
  passTo(atMs: number): string[] {
    const lines: string[] = [];
    for (let wakeMs = this.wakeMs; wakeMs !== null && wakeMs <= atMs; wakeMs = this.wakeMs) {
      if (wakeMs <= this.nowMs) throw new Error(`asks to be woken at ${wakeMs} ms, which has passed`);
      this.nowMs = wakeMs;
      lines.push(...this.#feed({ type: 'tick' }));
    }
    this.nowMs = atMs;
    return lines;
  }

  get wakeMs(): number | null {
    return nextWakeMs(this.state);
  }

  /** Stages first to last, each with its nodes and what they say a row takes, in milliseconds. */
  placed(...stages: readonly Readonly<Record<string, number>>[]): string[] {
    // An epoch names a partition: replicas come and go under the same one.
    if (stages.length !== this.state.stages.length) this.#epoch += 1;
    return this.placedAs(this.#epoch, ...stages);
  }

  placedAs(epoch: number, ...stages: readonly Readonly<Record<string, number>>[]): string[] {
    return this.placedWith({ epoch }, ...stages);
  }

  placedWith(
    more: { epoch?: number; rowsMax?: number; lingering?: number[]; unserved?: DispatchState['unserved'] },
    ...stages: readonly Readonly<Record<string, number>>[]
  ): string[] {
    const replicas = stages.map((stage) =>
      Object.entries(stage).map(([name, msPerRow]) => ({ node: peerId(name), msPerRow })),
    );
    const unserved = stages.length > 0 ? null : { code: 'NO_CAPACITY' as const, reason: 'no tab is open' };
    return this.#feed({ type: 'placement', epoch: this.#epoch, unserved, ...more, stages: replicas });
  }

  submit(
    name: string,
    rows: number,
    options: { splittable?: boolean; rowsMax?: number; stream?: string; deadlineMs?: number } = {},
  ): string[] {
    const { splittable = true, rowsMax = rows, stream = null, deadlineMs = 60_000 } = options;
    const about = { rows, splittable, rowsMax, stream, deadlineAtMs: this.nowMs + deadlineMs };
    return this.#feed({ type: 'submit', requestId: requestId(name), ...about });
  }

  /** A result by the nodes of the route, each having computed as long as was booked, or so long per row. */
  result(label: string, { msPerRow }: { msPerRow?: number } = {}): string[] {
    const flight = this.flight(label);
    const { rows } = flight;
    const timings = flight.route.map((node, stage) => {
      const computeMs = msPerRow === undefined ? flight.bookedMs[stage]! : msPerRow * rows;
      return { stage, node, rows, queueMs: 0, computeMs };
    });
    return this.resultOf(flight, timings);
  }

  resultOf({ requestId: id, microbatch, attempt }: Flight, timings: readonly StageTiming[]): string[] {
    return this.#feed({ type: 'result', requestId: id, microbatch, attempt, timings });
  }

  failure(label: string, node: string, code: ReasonCode): string[] {
    const { requestId: id, microbatch, attempt, route } = this.flight(label);
    const error = new MeshError(code);
    const stage = Math.max(0, route.indexOf(peerId(node)));
    return this.#feed({ type: 'failure', requestId: id, microbatch, attempt, stage, node: peerId(node), error });
  }

  lease(label: string, leaseMs: number): string[] {
    const { requestId: id, microbatch, attempt } = this.flight(label);
    return this.#feed({ type: 'lease', requestId: id, microbatch, attempt, leaseMs });
  }

  lost(node: string): string[] {
    return this.#feed({ type: 'node-lost', node: peerId(node), error: new MeshError('PEER_LEFT') });
  }

  cancel(name: string): string[] {
    return this.#feed({ type: 'cancel', requestId: requestId(name), error: new MeshError('CANCELLED') });
  }

  /** The newest flight with these rows, under way or not. */
  flight(label: string): Flight {
    const flight = this.#sent.findLast((sent) => labelOf(sent) === label);
    if (flight === undefined) throw new Error(`${label} was never sent`);
    return flight;
  }

  reasonOf(name: string): string | undefined {
    return this.errors.get(requestId(name))?.message;
  }

  #feed(event: WithoutTime<DispatchEvent>): string[] {
    this.effects = dispatch(this.state, { ...event, nowMs: this.nowMs });
    return this.effects.map((effect) => this.#lineOf(effect));
  }

  #lineOf(effect: DispatchEffect): string {
    switch (effect.type) {
      case 'send':
        this.#sent.push(effect.flight);
        return `${labelOf(effect.flight)} to ${effect.flight.route.join(', ')}`;
      case 'resume': {
        this.#sent.push(effect.flight);
        const { route, asked } = effect.flight;
        return `${labelOf(effect.flight)} goes on along ${route.join(', ')}, asked of ${asked.join(', ')}`;
      }
      case 'revoke':
        return `revoke ${labelOf(effect.flight)} from ${effect.flight.route.join(', ')}`;
      case 'accept':
        return `accept ${labelOf(effect.flight)}`;
      case 'settle':
        if (effect.error !== null) this.errors.set(effect.requestId, effect.error);
        return effect.error === null
          ? `${effect.requestId} is done`
          : `${effect.requestId} fails: ${effect.error.code}`;
    }
  }
}

/** What a microbatch is called. */
export const labelOf = ({ parts }: Flight): string =>
  parts.map(({ requestId: id, start, end }) => `${id}[${start},${end})`).join('+');
