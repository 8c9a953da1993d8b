/** What a node holds: its assignments, how far each is, and under which name the executor knows it. */
import type { NodeModelStatus } from '@shoal/mesh/link';
import type { AssignmentId, AssignmentState, AssignMessage, HeldStage, ReasonCode, WorkMessage } from '@shoal/protocol';
import type { Manifest } from '@shoal/sharding';
import type { PreparedStage } from './prepare-stage.ts';

export interface HeldAssignment {
  /** The latest assignment: a coordinator that comes back names the same stage anew. */
  message: AssignMessage;
  /** The executor's name for it. */
  readonly stageId: string;
  abort: AbortController;
  state: AssignmentState;
  code: ReasonCode;
  reason: string;
  manifest: Manifest | null;
  prepared: PreparedStage | null;
  loaded: boolean;
  bytesDone: number;
  bytesTotal: number;
  selfTestPassed: number;
  selfTestTotal: number;
  msPerRow: number | null;
}

/** The same layers of the same model are the same stage, whatever their number in a partition. */
const stageIdOf = ({ manifestDigest, layers }: AssignMessage): string =>
  `${manifestDigest}:${layers.start}-${layers.end}`;

const fresh = (message: AssignMessage): HeldAssignment => ({
  message,
  stageId: stageIdOf(message),
  abort: new AbortController(),
  state: 'fetching',
  code: 'FETCHING',
  reason: 'waiting for its turn',
  manifest: null,
  prepared: null,
  loaded: false,
  bytesDone: 0,
  bytesTotal: 0,
  selfTestPassed: 0,
  selfTestTotal: 0,
  msPerRow: null,
});

export class StageHolder {
  readonly #held = new Map<string, HeldAssignment>();

  add(message: AssignMessage): HeldAssignment {
    const held = fresh(message);
    this.#held.set(held.stageId, held);
    return held;
  }

  /** The same stage under a new assignment: nothing moves. */
  adopt(message: AssignMessage): HeldAssignment | undefined {
    const held = this.#held.get(stageIdOf(message));
    if (held === undefined || held.state === 'failed') return undefined;
    held.message = message;
    return held;
  }

  remove(id: AssignmentId): HeldAssignment | undefined {
    for (const [stageId, held] of this.#held) {
      if (held.message.assignmentId !== id) continue;
      this.#held.delete(stageId);
      return held;
    }
    return undefined;
  }

  /** All that is held starts over, under a new executor. */
  restart(): HeldAssignment[] {
    for (const [stageId, held] of this.#held) {
      held.abort.abort();
      this.#held.set(stageId, fresh(held.message));
    }
    return [...this.#held.values()];
  }

  /** What can serve this piece of work, or why not. */
  forWork(message: WorkMessage): HeldAssignment | 'NOT_ASSIGNED' | 'STALE_EPOCH' {
    let isStale = false;
    for (const held of this.#held.values()) {
      const { model, version, epoch, stage, stages } = held.message;
      if (model !== message.model || version !== message.version || held.state !== 'ready') continue;
      if (epoch !== message.epoch) isStale = true;
      else if (stage === message.stage && stages === message.route.length) return held;
    }
    return isStale ? 'STALE_EPOCH' : 'NOT_ASSIGNED';
  }

  inState(state: AssignmentState): HeldAssignment | undefined {
    for (const held of this.#held.values()) if (held.state === state) return held;
    return undefined;
  }

  /** Memory of the loaded stages besides one. */
  memoryBytes(besides: HeldAssignment): number {
    let bytes = 0;
    for (const held of this.#held.values())
      if (held !== besides && held.loaded) bytes += held.prepared?.memoryBytes ?? 0;
    return bytes;
  }

  held(): HeldStage[] {
    return [...this.#held.values()]
      .filter((held) => held.state === 'ready')
      .map(({ message, msPerRow }) => ({
        assignmentId: message.assignmentId,
        model: message.model,
        version: message.version,
        manifestDigest: message.manifestDigest,
        stage: message.stage,
        stages: message.stages,
        layers: message.layers,
        epoch: message.epoch,
        msPerRow: msPerRow ?? 0,
      }));
  }

  statuses(): NodeModelStatus[] {
    return [...this.#held.values()].map((held) => ({
      model: held.message.model,
      version: held.message.version,
      state: held.state,
      bytesDone: held.bytesDone,
      bytesTotal: held.bytesTotal,
      selfTestPassed: held.selfTestPassed,
      selfTestTotal: held.selfTestTotal,
      msPerRow: held.msPerRow,
      reason: held.reason === '' ? null : held.reason,
    }));
  }
}
