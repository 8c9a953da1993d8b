/** What the coordinator's API tells of versions, labels, split and shadow, and what the page makes of it. */
import type { ReasonCode } from '@shoal/protocol';

export type VersionState = 'LOADING' | 'AVAILABLE' | 'UNLOADING' | 'END';

export interface ModelVersion {
  readonly version: number;
  readonly state: VersionState;
  readonly code: ReasonCode | null;
  readonly reason: string | null;
  readonly replicas: number;
  readonly labels: readonly string[];
}

export interface LatencyMs {
  readonly p50: number;
  readonly p95: number;
}

export interface ShadowComparison {
  readonly version: number;
  readonly shadowVersion: number;
  readonly compared: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly skipped: number;
  readonly top1Agreement: number | null;
  readonly relativeL2Mean: number | null;
  readonly relativeL2Max: number | null;
  readonly latencyMs: LatencyMs | null;
  readonly shadowLatencyMs: LatencyMs | null;
}

/** One entry of `GET /api/v1/versions`. */
export interface ModelVersions {
  readonly model: string;
  readonly latest: number | null;
  readonly policy: 'all' | { readonly latest: number } | { readonly specific: readonly number[] };
  readonly labels: Readonly<Record<string, { readonly version: number | null; readonly wanted: number }>>;
  readonly split: {
    readonly stickyHeader: string;
    readonly parts: readonly { readonly name: string; readonly weight: number; readonly version: number | null }[];
  } | null;
  readonly shadow: { readonly to: string; readonly share: number; readonly version: number | null } | null;
  readonly versions: readonly ModelVersion[];
  readonly comparisons: readonly ShadowComparison[];
  /** Requests whose inputs are kept for calibration; null where its owner has not asked for that. */
  readonly recording: { readonly kept: number; readonly of: number } | null;
  readonly configError: string | null;
}

/** A part's share of the requests now: parts that are not served get nothing. */
export function shareOf(split: NonNullable<ModelVersions['split']>, name: string): number {
  const served = split.parts.filter(({ version }) => version !== null);
  const sum = served.reduce((total, { weight }) => total + weight, 0);
  return sum === 0 ? 0 : (served.find((part) => part.name === name)?.weight ?? 0) / sum;
}

/** Versions that a label or a share of requests can be given to. */
export function choices({ versions }: ModelVersions): readonly number[] {
  return versions.filter(({ state }) => state === 'AVAILABLE').map(({ version }) => version);
}

/** Where a rollback would lead by default: the newest below the latest that was not refused. */
export function rollbackTarget({ versions, latest }: ModelVersions): number | null {
  const good = versions.filter(({ version, code, state }) => (state !== 'END' || code === null) && version !== latest);
  return good.find(({ version }) => latest !== null && version < latest)?.version ?? null;
}
