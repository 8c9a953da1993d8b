/**
 * Which versions of a model are to be there, and which of them a request gets: from what the operator wants and what the
 * nodes hold now. A version takes the place of another only once it can bear as much (make before break), and what is
 * wanted of one that is not served yet waits, with the former meaning in force.
 */
import type { TrafficMessage } from '@shoal/protocol';
import { placementOf } from './cluster-placement.ts';
import { modelKey, type ClusterState } from './cluster-state.ts';

/** Which versions of those that can be read are served, as TensorFlow Serving's `ServableVersionPolicy`. */
export type VersionPolicy = 'all' | { readonly latest: number } | { readonly specific: readonly number[] };

export const POLICY_DEFAULT: VersionPolicy = { latest: 1 };

/** What the operator wants of a model's versions. */
export interface VersionConfig {
  readonly policy: VersionPolicy;
  readonly labels: Readonly<Record<string, number>>;
  /** Weights by label, or by version in digits. */
  readonly split?: { readonly stickyHeader: string; readonly weights: Readonly<Record<string, number>> } | undefined;
  /** `to` is a label, or a version in digits. */
  readonly shadow?: { readonly to: string; readonly share: number } | undefined;
}

/** A version that nodes were asked to hold. */
export interface VersionRecord {
  readonly version: number;
  /** Complete copies that serve now. */
  readonly replicas: number;
  /** Whether nodes are still on their way to hold it. */
  readonly isGrowing: boolean;
}

/** A newcomer with this share of its predecessor's replicas takes over, though others are on their way. */
const TAKEOVER_SHARE = 0.9;

/** Versions that labels, split and shadow name: they are served whatever the policy says. */
export function namedVersions({ labels, split, shadow }: VersionConfig): Set<number> {
  const names = [...Object.keys(split?.weights ?? {}), ...(shadow === undefined ? [] : [shadow.to])];
  const versions = names.map((name) => versionNamed(name, labels)).filter((version) => version !== undefined);
  return new Set([...Object.values(labels), ...versions]);
}

/** The version that a label, or digits, stand for. */
export function versionNamed(name: string, labels: Readonly<Record<string, number>>): number | undefined {
  if (Object.hasOwn(labels, name)) return labels[name];
  return /^\d{1,15}$/.test(name) ? Number(name) : undefined;
}

export interface TrafficRequest {
  readonly model: string;
  readonly config: VersionConfig;
  /** Those of the versions loaded that the policy wants. */
  readonly byPolicy: ReadonlySet<number>;
  readonly loaded: readonly VersionRecord[];
  /** What was in force until now. */
  readonly before: TrafficMessage | undefined;
}

/** What is in force from now on. Versions loaded that it does not list may go. */
export function trafficOf({ model, config, byPolicy, loaded, before }: TrafficRequest): TrafficMessage {
  const records = new Map(loaded.map((record) => [record.version, record]));
  const isServed = (version: number | null | undefined): version is number =>
    version !== null && version !== undefined && (records.get(version)?.replicas ?? 0) > 0;
  const latest = latestOf(records, byPolicy, isServed(before?.latest) ? before.latest : null);
  const labels: Record<string, number> = {};
  for (const [label, wanted] of Object.entries(config.labels)) {
    const former = before?.labels[label];
    const version = !isServed(wanted) && isServed(former) ? former : wanted;
    if (records.has(version)) labels[label] = version;
  }
  const split = splitOf(config, labels, isServed);
  const shadowed = config.shadow === undefined ? undefined : versionNamed(config.shadow.to, labels);
  const kept = [...byPolicy, ...namedVersions(config), ...Object.values(labels), ...(latest === null ? [] : [latest])];
  return {
    type: 'traffic',
    model,
    latest,
    versions: [...new Set(kept)].filter((version) => records.has(version)).sort((a, b) => b - a),
    labels,
    ...(split === undefined ? {} : { split }),
    ...(config.shadow !== undefined && isServed(shadowed)
      ? { shadow: { version: shadowed, share: config.shadow.share } }
      : {}),
  };
}

/** The newest that the policy wants and that can take over from the one in force; else that one. */
function latestOf(
  records: ReadonlyMap<number, VersionRecord>,
  byPolicy: ReadonlySet<number>,
  inForce: number | null,
): number | null {
  const newestFirst = [...records.values()]
    .filter(({ replicas }) => replicas > 0)
    .sort((a, b) => b.version - a.version);
  const former = inForce === null ? undefined : records.get(inForce);
  const takesOver = ({ version, replicas, isGrowing }: VersionRecord): boolean =>
    former === undefined || version === former.version || !isGrowing || replicas >= TAKEOVER_SHARE * former.replicas;
  const next = newestFirst.find((record) => byPolicy.has(record.version) && takesOver(record));
  return (next ?? former)?.version ?? null;
}

/** The parts of the split that are served; their shares grow by what the others would have had. */
function splitOf(
  { split }: VersionConfig,
  labels: Readonly<Record<string, number>>,
  isServed: (version: number | undefined) => version is number,
): TrafficMessage['split'] {
  const weights = Object.entries(split?.weights ?? {}).flatMap(([name, weight]) => {
    const version = versionNamed(name, labels);
    return weight > 0 && isServed(version) ? [{ name, version, weight }] : [];
  });
  return split === undefined || weights.length === 0 ? undefined : { stickyHeader: split.stickyHeader, weights };
}

/** The versions of a model that nodes were asked to hold, as they stand. */
export function versionRecords(state: ClusterState, model: string): VersionRecord[] {
  return [...state.models.values()]
    .filter(({ info }) => info.model === model)
    .map(({ info: { version } }) => {
      const key = modelKey(model, version);
      const { stages } = placementOf(state, key);
      return {
        version,
        replicas: Math.min(...stages.map((stage) => stage.replicas.length)),
        isGrowing: [...state.peers.values()].some(
          ({ activity, assignments }) =>
            activity !== 'draining' &&
            [...assignments.values()].some(
              (record) => record.modelKey === key && record.state !== 'ready' && record.state !== 'failed',
            ),
        ),
      };
    });
}
