/** What nodes have shown of themselves: speeds by their work, links by what passed over them. */
import type { LinkFigures, PeerId, WorkFigures } from '@shoal/protocol';
import type { LayerRange, Link, ModelProfile } from '@shoal/sharding';
import type { AssignmentRecord, ClusterState, LinkRecord, Outlook, PeerRecord, ServedModel } from './cluster-state.ts';
import type { LinkTable } from './plan-ask.ts';

/** Where nobody has measured: a wired home network. */
export const LINK_ASSUMED: Link = { rttMs: 5, bytesPerMs: 12_500 };
/** A node that runs the probe graph in this time has speed 1, until nodes have worked. */
const PROBE_RUN_MS = 10;
/** Weight of a new figure against those before: about the last five count. */
const EWMA_SHARE = 0.3;
/** A link that was not measured for so long counts as unknown. */
export const LINK_STALE_MS = 600_000;
/** A speed this much above or below what was planned with is another speed: beyond what a busy machine does for a while. */
const SPEED_BAND = 1.3;
/** Two speeds that differ so much from what was thought of them were measured wrong: first runs and busy neighbours do less to them. */
const BELIED_BAND = 2;
/**
 * A stage of a smaller share of its model's cost tells nothing of its node's speed: what any run takes, whatever its layers, would
 * pass for slowness, a thousandfold where a stage does next to nothing.
 */
const TELLING_SHARE = 0.02;
/** Rates of links vary more than speeds. */
const LINK_BAND = 2;
/** Round trips below this all count alike. */
const RTT_FLOOR_MS = 10;

export const costMs = (profile: ModelProfile, { start, end }: LayerRange): number =>
  profile.layers.slice(start, end).reduce((sum, { computeMs }) => sum + computeMs, 0);

/** What layers cost at speed 1, if how long they take tells of a speed. */
function tellingCostMs(profile: ModelProfile, layers: LayerRange): number | undefined {
  const cost = costMs(profile, layers);
  const whole = costMs(profile, { start: 0, end: profile.layers.length });
  return cost > 0 && cost >= TELLING_SHARE * whole ? cost : undefined;
}

const blend = (before: number | null | undefined, now: number): number =>
  before === null || before === undefined ? now : before + EWMA_SHARE * (now - before);

/** A self-test gives a first idea of a speed; real work knows better. */
export function noteSelfTest(peer: PeerRecord, model: ServedModel, record: AssignmentRecord): void {
  if (model.profile === null || record.msPerRow <= 0) return;
  const known = [...peer.assignments.values()].some(
    ({ modelKey, measured }) => modelKey === record.modelKey && measured !== null,
  );
  const cost = tellingCostMs(model.profile, record.layers);
  if (!known && cost !== undefined) peer.speeds.set(record.modelKey, cost / record.msPerRow);
}

export function noteWork(state: ClusterState, peer: PeerRecord, work: readonly WorkFigures[]): void {
  for (const { assignmentId, rows, msPerRow } of work) {
    const record = peer.assignments.get(assignmentId);
    if (record === undefined || msPerRow <= 0) continue;
    const before = record.measured;
    record.measured = { msPerRow: blend(before?.msPerRow, msPerRow), rows: (before?.rows ?? 0) + rows };
    const profile = state.models.get(record.modelKey)?.profile ?? null;
    const cost = profile === null ? undefined : tellingCostMs(profile, record.layers);
    if (cost === undefined) continue;
    peer.speeds.set(record.modelKey, cost / record.measured.msPerRow);
    peer.worked.add(record.modelKey);
  }
}

/** The model's layers cost something else among each other than was thought: what nodes have shown is read anew. */
export function noteCosts(state: ClusterState, key: string, profile: ModelProfile): void {
  for (const peer of state.peers.values()) {
    for (const record of peer.assignments.values()) {
      const msPerRow = record.measured?.msPerRow ?? record.msPerRow;
      if (record.modelKey !== key || !peer.speeds.has(key) || msPerRow <= 0) continue;
      const cost = tellingCostMs(profile, record.layers);
      if (cost !== undefined) peer.speeds.set(key, cost / msPerRow);
    }
  }
}

export function noteLinks(state: ClusterState, peer: PeerRecord, links: readonly LinkFigures[], nowMs: number): void {
  for (const { peer: from, rttMs, bytesPerMs } of links) {
    if (!state.peers.has(from)) continue;
    const known = peer.links.get(from);
    const before = known !== undefined && nowMs - known.atMs < LINK_STALE_MS ? known : undefined;
    peer.links.set(from, {
      rttMs: rttMs === null ? (before?.rttMs ?? null) : blend(before?.rttMs, rttMs),
      bytesPerMs: bytesPerMs === null ? (before?.bytesPerMs ?? null) : blend(before?.bytesPerMs, bytesPerMs),
      atMs: nowMs,
    });
  }
}

/**
 * Speeds for one model, relative to the node that its figures are for: by work on it, else by the probe graph, whose scale is
 * taken from the nodes that have both.
 */
export function speedsFor(key: string, peers: readonly PeerRecord[]): ReadonlyMap<PeerId, number> {
  const ratios = peers.flatMap((peer) => {
    const shown = peer.speeds.get(key);
    return shown === undefined ? [] : [shown / probeSpeed(peer)];
  });
  const scale = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 1;
  return new Map(peers.map((peer) => [peer.id, peer.speeds.get(key) ?? probeSpeed(peer) * scale]));
}

/** By the probe graph that every node times at its start; 1 where it was not timed. */
function probeSpeed({ profile }: PeerRecord): number {
  const runMs = profile?.backends.find(({ backend }) => backend === profile.backend)?.runMs ?? PROBE_RUN_MS;
  return PROBE_RUN_MS / Math.max(0.01, runMs);
}

/** What is known of the way from one peer to another, or undefined. Round trips count from either side. */
export function linkBetween(state: ClusterState, from: PeerId, to: PeerId, nowMs: number): LinkRecord | undefined {
  const fresh = (record: LinkRecord | undefined): LinkRecord | undefined =>
    record !== undefined && nowMs - record.atMs < LINK_STALE_MS ? record : undefined;
  const there = fresh(state.peers.get(to)?.links.get(from));
  const back = fresh(state.peers.get(from)?.links.get(to));
  const rttMs = there?.rttMs ?? back?.rttMs ?? null;
  const bytesPerMs = there?.bytesPerMs ?? null;
  if (rttMs === null && bytesPerMs === null) return undefined;
  return { rttMs, bytesPerMs, atMs: Math.max(there?.atMs ?? 0, back?.atMs ?? 0) };
}

const completed = ({ rttMs, bytesPerMs }: LinkRecord): Link => ({
  rttMs: rttMs ?? LINK_ASSUMED.rttMs,
  bytesPerMs: bytesPerMs ?? LINK_ASSUMED.bytesPerMs,
});

/** All that is known of the links among nodes and with their callers. */
export function linkTable(state: ClusterState, peers: readonly PeerRecord[], nowMs: number): LinkTable {
  const ids = new Set(peers.map(({ id }) => id));
  const between: [string, string, Link][] = [];
  const client: [string, Link][] = [];
  for (const peer of peers) {
    const callers: Link[] = [];
    for (const from of new Set([...peer.links.keys(), ...heardBy(peers, peer.id)])) {
      const known = linkBetween(state, from, peer.id, nowMs);
      if (known === undefined) continue;
      if (ids.has(from)) between.push([from, peer.id, completed(known)]);
      else if (state.peers.get(from)?.role !== 'node') callers.push(completed(known));
    }
    if (callers.length > 0) client.push([peer.id, mean(callers)]);
  }
  return { default: LINK_ASSUMED, between, client };
}

/** Those of `peers` that measured a link with `id` themselves. */
const heardBy = (peers: readonly PeerRecord[], id: PeerId): PeerId[] =>
  peers.filter(({ links }) => links.has(id)).map((peer) => peer.id);

const mean = (links: readonly Link[]): Link => ({
  rttMs: links.reduce((sum, { rttMs }) => sum + rttMs, 0) / links.length,
  bytesPerMs: links.reduce((sum, { bytesPerMs }) => sum + bytesPerMs, 0) / links.length,
});

/** Whether speeds are no longer those that a plan was made for. */
export const speedsDrifted = (outlook: Outlook, speeds: ReadonlyMap<PeerId, number>): boolean =>
  [...outlook.speeds].some(([id, planned]) => isOutside(speeds.get(id) ?? planned, planned, SPEED_BAND));

/** Whether nodes are to each other what no plan would have been made for. */
export function speedsBelied(outlook: Outlook, speeds: ReadonlyMap<PeerId, number>): boolean {
  const ratios = [...outlook.speeds].map(([id, planned]) => (speeds.get(id) ?? planned) / planned);
  return Math.max(...ratios) > BELIED_BAND * Math.min(...ratios);
}

/** Whether a link that a plan counts on is no longer what it was. */
export function linkDrifted(outlook: Outlook, from: PeerId, to: PeerId, link: LinkRecord | undefined): boolean {
  const planned = outlook.links.get(`${from} ${to}`) ?? { rttMs: null, bytesPerMs: null };
  if (outlook.summary === null || link === undefined) return false;
  const rtt = (ms: number | null): number => Math.max(RTT_FLOOR_MS, ms ?? LINK_ASSUMED.rttMs);
  const rate = (bytesPerMs: number | null): number => bytesPerMs ?? LINK_ASSUMED.bytesPerMs;
  return (
    isOutside(rtt(link.rttMs), rtt(planned.rttMs), LINK_BAND) ||
    isOutside(rate(link.bytesPerMs), rate(planned.bytesPerMs), LINK_BAND)
  );
}

const isOutside = (value: number, around: number, band: number): boolean =>
  value > around * band || value < around / band;
