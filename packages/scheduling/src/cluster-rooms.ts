/** What fits a node: stages by the layers that they are, so that the same layers in two placements count once. */
import type { PeerId } from '@shoal/protocol';
import { stageMemoryBytes, stageWeightBytes } from '@shoal/sharding';
import type { Partition, PeerRecord, ServedModel, StageDuty } from './cluster-state.ts';

/** A node's memory, filled with duties one after another. */
export class Room {
  readonly peer: PeerRecord;
  readonly duties: StageDuty[] = [];
  readonly #reserved: StageDuty[] = [];
  readonly #bytesByLayers = new Map<string, number>();

  constructor(peer: PeerRecord) {
    this.peer = peer;
  }

  get limitBytes(): number {
    return this.peer.profile?.memoryBytesMax ?? 0;
  }

  get freeBytes(): number {
    return this.limitBytes - sum(this.#bytesByLayers.values());
  }

  /** Free for one model if it held nothing of it. */
  freeBytesBesides(modelKey: string): number {
    const others = [...this.#bytesByLayers].filter(([layers]) => !layers.startsWith(`${modelKey} `));
    return this.limitBytes - sum(others.map(([, bytes]) => bytes));
  }

  fits(duty: StageDuty): boolean {
    if (lackedOf(this.peer, duty.ops).length > 0) return false;
    return this.#bytesByLayers.has(layersOf(duty)) || duty.memoryBytes <= this.freeBytes;
  }

  /** Nothing is added twice. */
  add(duty: StageDuty): void {
    if (this.duties.some((each) => isSameDuty(each, duty))) return;
    this.duties.push(duty);
    this.#bytesByLayers.set(layersOf(duty), duty.memoryBytes);
  }

  /** Counts the memory of something that is no duty any more. */
  reserve(duty: StageDuty): void {
    this.#reserved.push(duty);
    this.#bytesByLayers.set(layersOf(duty), duty.memoryBytes);
  }

  /** Gives up what it has of a model under an epoch. */
  drop(modelKey: string, epoch: number): void {
    const left = this.duties.filter((duty) => duty.modelKey !== modelKey || duty.epoch !== epoch);
    this.duties.length = 0;
    this.#bytesByLayers.clear();
    for (const duty of left) this.add(duty);
    for (const duty of this.#reserved) this.#bytesByLayers.set(layersOf(duty), duty.memoryBytes);
  }
}

export type Rooms = ReadonlyMap<PeerId, Room>;

const layersOf = ({ modelKey, layers }: StageDuty): string => `${modelKey} ${layers.start}-${layers.end}`;

const sum = (bytes: Iterable<number>): number => {
  let total = 0;
  for (const each of bytes) total += each;
  return total;
};

export const isSameDuty = (one: StageDuty, other: StageDuty): boolean =>
  one.modelKey === other.modelKey && one.epoch === other.epoch && one.stage === other.stage;

/** Those of `ops` that a node's backend cannot run. */
export const lackedOf = ({ profile }: PeerRecord, ops: readonly string[]): readonly string[] =>
  profile?.lacksOps === undefined ? [] : ops.filter((op) => profile.lacksOps?.includes(op));

/** Operations of a range of layers; of the whole model where it has no figures. */
const opsOf = ({ profile, ops = [] }: ServedModel, { start, end }: StageDuty['layers']): readonly string[] =>
  profile === null ? ops : [...new Set(profile.layers.slice(start, end).flatMap((layer) => layer.ops ?? []))];

/** One duty for each stage. */
export function dutiesOf(key: string, { epoch, stages }: Partition, model: ServedModel): StageDuty[] {
  return stages.map((layers, stage) => ({
    modelKey: key,
    epoch,
    stage,
    stages: stages.length,
    layers,
    weightBytes: model.profile === null ? model.memoryBytes : stageWeightBytes(model.profile, layers),
    memoryBytes: model.profile === null ? model.memoryBytes : stageMemoryBytes(model.profile, layers),
    ops: opsOf(model, layers),
  }));
}

/** What the whole model takes on a node. */
export const wholeBytes = ({ profile, memoryBytes, layers }: ServedModel): number =>
  profile === null ? memoryBytes : stageMemoryBytes(profile, { start: 0, end: layers });
