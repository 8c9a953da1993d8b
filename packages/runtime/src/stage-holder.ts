/** What a node holds: its assignments, how far each is, and under which name the executor knows it. */
import type { NodeModelStatus } from '@shoal/mesh/link';
import type {
  AssignmentId,
  AssignmentState,
  AssignMessage,
  HeldStage,
  PeerId,
  ReasonCode,
  WorkFigures,
  WorkMessage,
} from '@shoal/protocol';
import { CodecPicker, type Manifest } from '@shoal/sharding';
import type { ShardOrigin } from './fetch-model.ts';
import type { PreparedStage } from './prepare-stage.ts';

export interface HeldAssignment {
  /** The latest assignment. */
  message: AssignMessage;
  /** All that ask for it: one for each placement that it is part of, the one in force and one in the making, say. */
  readonly assignments: Map<AssignmentId, AssignMessage>;
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
  taken: TakenBytes;
  /** Golden vectors that came out right: here, or, of a stage of several, over a route through it. */
  selfTestPassed: number;
  selfTestTotal: number;
  msPerRow: number | null;
  /** Rows of real work that nobody was told of, and how long the node was busy with them. */
  work: { readonly rows: number; readonly busyMs: number };
  /** What codecs have cost on what it makes, and the bytes that its latest outputs took plain; null before the first. */
  readonly codecs: CodecPicker;
  leavingBytes: number | null;
}

/** Where what was downloaded came from. */
interface TakenBytes {
  readonly cacheBytes: number;
  readonly coordinatorBytes: number;
  readonly bytesByPeer: ReadonlyMap<PeerId, number>;
}

export function addTaken(taken: TakenBytes, bytes: number, origin: ShardOrigin): TakenBytes {
  switch (origin.kind) {
    case 'cache':
      return { ...taken, cacheBytes: taken.cacheBytes + bytes };
    case 'coordinator':
      return { ...taken, coordinatorBytes: taken.coordinatorBytes + bytes };
    case 'peer': {
      const before = taken.bytesByPeer.get(origin.peer) ?? 0;
      return { ...taken, bytesByPeer: new Map(taken.bytesByPeer).set(origin.peer, before + bytes) };
    }
  }
}

/** The same layers of the same model are the same stage, whatever their number in a partition. */
const stageIdOf = ({ manifestDigest, layers }: Pick<AssignMessage, 'manifestDigest' | 'layers'>): string =>
  `${manifestDigest}:${layers.start}-${layers.end}`;

const isSamePlace = (one: AssignMessage, other: AssignMessage): boolean =>
  one.epoch === other.epoch && one.stage === other.stage && one.stages === other.stages;

const fresh = (message: AssignMessage, assignments: HeldAssignment['assignments']): HeldAssignment => ({
  message,
  assignments,
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
  taken: { cacheBytes: 0, coordinatorBytes: 0, bytesByPeer: new Map() },
  selfTestPassed: 0,
  selfTestTotal: 0,
  msPerRow: null,
  work: { rows: 0, busyMs: 0 },
  codecs: new CodecPicker(),
  leavingBytes: null,
});

export class StageHolder {
  readonly #held = new Map<string, HeldAssignment>();

  add(message: AssignMessage): HeldAssignment {
    const held = fresh(message, new Map([[message.assignmentId, message]]));
    this.#held.set(held.stageId, held);
    return held;
  }

  /** The same stage under a new assignment: nothing moves. A coordinator that comes back names it anew in the same place. */
  adopt(message: AssignMessage): HeldAssignment | undefined {
    const held = this.#held.get(stageIdOf(message));
    if (held === undefined || held.state === 'failed') return undefined;
    for (const [id, known] of held.assignments) if (isSamePlace(known, message)) held.assignments.delete(id);
    held.assignments.set(message.assignmentId, message);
    held.message = message;
    return held;
  }

  /** Takes back one assignment; the stage itself if no other asks for it. */
  remove(id: AssignmentId): HeldAssignment | undefined {
    for (const [stageId, held] of this.#held) {
      if (!held.assignments.delete(id)) continue;
      const [other] = held.assignments.values();
      if (other === undefined) {
        this.#held.delete(stageId);
        return held;
      }
      if (held.message.assignmentId === id) held.message = other;
      return undefined;
    }
    return undefined;
  }

  /** All that is held starts over, under a new executor. */
  restart(): HeldAssignment[] {
    for (const [stageId, held] of this.#held) {
      held.abort.abort();
      this.#held.set(stageId, fresh(held.message, held.assignments));
    }
    return [...this.#held.values()];
  }

  /** What is under way for any of them is called off. */
  abort(): void {
    for (const held of this.#held.values()) held.abort.abort();
  }

  /** What can serve this piece of work, or why not. */
  forWork(
    message: Pick<WorkMessage, 'model' | 'version' | 'epoch' | 'stage' | 'route'>,
  ): HeldAssignment | 'NOT_ASSIGNED' | 'STALE_EPOCH' {
    let isStale = false;
    for (const held of this.#held.values()) {
      const { model, version } = held.message;
      if (model !== message.model || version !== message.version || held.state !== 'ready') continue;
      for (const { epoch, stage, stages } of held.assignments.values()) {
        if (epoch !== message.epoch) isStale = true;
        else if (stage === message.stage && stages === message.route.length) return held;
      }
    }
    return isStale ? 'STALE_EPOCH' : 'NOT_ASSIGNED';
  }

  /** A route through what is held under this assignment gave so many golden vectors right. */
  noteProven(id: AssignmentId, vectors: number): HeldAssignment | undefined {
    for (const held of this.#held.values()) {
      if (!held.assignments.has(id)) continue;
      held.selfTestPassed = vectors;
      held.reason = '';
      return held;
    }
    return undefined;
  }

  /** Whether just these layers of a model are held. */
  holds({ manifestDigest, layers }: Pick<AssignMessage, 'manifestDigest' | 'layers'>): boolean {
    return this.#held.has(stageIdOf({ manifestDigest, layers }));
  }

  inState(state: AssignmentState): HeldAssignment | undefined {
    for (const held of this.#held.values()) if (held.state === state) return held;
    return undefined;
  }

  /** Memory of the loaded stages, besides one if it is given. */
  memoryBytes(besides?: HeldAssignment): number {
    let bytes = 0;
    for (const held of this.#held.values())
      if (held !== besides && held.loaded) bytes += held.prepared?.memoryBytes ?? 0;
    return bytes;
  }

  held(): HeldStage[] {
    const ready = [...this.#held.values()].filter((held) => held.state === 'ready');
    return ready.flatMap(({ assignments, msPerRow, selfTestPassed }) =>
      [...assignments.values()].map((message) => ({
        assignmentId: message.assignmentId,
        model: message.model,
        version: message.version,
        manifestDigest: message.manifestDigest,
        stage: message.stage,
        stages: message.stages,
        layers: message.layers,
        epoch: message.epoch,
        msPerRow: msPerRow ?? 0,
        ...(message.stages === 1 || selfTestPassed === 0 ? {} : { vectorsProven: selfTestPassed }),
      })),
    );
  }

  /** What real work has cost since it was asked last. */
  takeWork(): WorkFigures[] {
    return [...this.#held.values()].flatMap((held) => {
      const { rows, busyMs } = held.work;
      if (rows === 0) return [];
      held.work = { rows: 0, busyMs: 0 };
      return [{ assignmentId: held.message.assignmentId, rows, msPerRow: busyMs / rows }];
    });
  }

  statuses(): NodeModelStatus[] {
    return [...this.#held.values()].map((held) => ({
      model: held.message.model,
      version: held.message.version,
      state: held.state,
      bytesDone: held.bytesDone,
      bytesTotal: held.bytesTotal,
      bytesFrom: {
        cache: held.taken.cacheBytes,
        coordinator: held.taken.coordinatorBytes,
        peers: [...held.taken.bytesByPeer].map(([peer, bytes]) => ({ peer, bytes })),
      },
      selfTestPassed: held.selfTestPassed,
      selfTestTotal: held.selfTestTotal,
      msPerRow: held.msPerRow,
      reason: held.reason === '' ? null : held.reason,
    }));
  }
}
