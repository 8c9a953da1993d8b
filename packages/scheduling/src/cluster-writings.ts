/** What nodes have told of the codecs that they write by, link by link and cut by cut. */
import type { LinkWriting, PeerId } from '@shoal/protocol';
import { CODECS, codecError, type CodecError } from '@shoal/sharding';
import { LINK_STALE_MS } from './cluster-figures.ts';
import { modelKey, type ClusterState, type PeerRecord, type ServedModel, type WrittenRecord } from './cluster-state.ts';

/** What one codec carried over a link at a cut. */
export interface CodecUse {
  readonly codec: string;
  readonly rows: number;
  readonly bytes: number;
  readonly plainBytes: number;
  /** What it does to the model's answers, as its owner measured it; null where that was not measured. */
  readonly error: CodecError | null;
}

/** Those about models, cuts and codecs that are known here: what a node makes up would stay in memory and in metrics. */
export const knownWritings = (state: ClusterState, writings: readonly LinkWriting[]): readonly LinkWriting[] =>
  writings.filter(({ to, model, version, cut, codec }) => {
    const layers = state.models.get(modelKey(model, version))?.layers ?? 0;
    return state.peers.has(to) && cut > 0 && cut < layers && CODECS.has(codec);
  });

/** The latest report counts: what a link carried before is not what it carries. */
export function noteWritings(
  state: ClusterState,
  peer: PeerRecord,
  writings: readonly LinkWriting[],
  nowMs: number,
): void {
  for (const [key, { atMs }] of peer.written) if (nowMs - atMs >= LINK_STALE_MS) peer.written.delete(key);
  const told = new Map<string, LinkWriting[]>();
  for (const writing of knownWritings(state, writings)) {
    const key = keyOf(modelKey(writing.model, writing.version), writing.cut, writing.to);
    const others = told.get(key);
    if (others === undefined) told.set(key, [writing]);
    else others.push(writing);
  }
  for (const [key, list] of told) peer.written.set(key, { atMs: nowMs, writings: list });
}

/** What a node lately wrote to another at a cut, most rows first; empty where nothing was told of. */
export function codecsInUse(
  state: ClusterState,
  key: string,
  {
    from,
    to,
    cut,
    nowMs,
  }: { readonly from: PeerId; readonly to: PeerId; readonly cut: number; readonly nowMs: number },
): readonly CodecUse[] {
  const record = state.peers.get(from)?.written.get(keyOf(key, cut, to));
  const model = state.models.get(key);
  if (record === undefined || model === undefined || nowMs - record.atMs >= LINK_STALE_MS) return [];
  return usesOf(model, record);
}

/** All that nodes lately wrote of a model, with the cut. */
export function* codecsOfModel(
  state: ClusterState,
  key: string,
  nowMs: number,
): Generator<CodecUse & { readonly cut: number }> {
  const model = state.models.get(key);
  if (model === undefined) return;
  for (const { written } of state.peers.values()) {
    for (const record of written.values()) {
      const [{ model: name, version, cut } = { model: '', version: 0, cut: 0 }] = record.writings;
      if (modelKey(name, version) !== key || nowMs - record.atMs >= LINK_STALE_MS) continue;
      for (const use of usesOf(model, record)) yield { ...use, cut };
    }
  }
}

const usesOf = ({ codecs: table }: ServedModel, { writings }: WrittenRecord): CodecUse[] =>
  writings
    .map(({ cut, codec, rows, bytes, plainBytes }) => {
      const measures = table?.cuts.find(({ position }) => position === cut)?.codecs ?? [];
      return { codec, rows, bytes, plainBytes, error: codecError(codec, measures) };
    })
    .sort((a, b) => b.rows - a.rows);

const keyOf = (key: string, cut: number, to: PeerId): string => `${key} ${cut} ${to}`;
