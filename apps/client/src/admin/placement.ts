/** What the coordinator's API tells of placements, and what a picture of one needs. */
import type { PlanSummary, ReasonCode } from '@shoal/protocol';

export type Mode = 'data' | 'pipeline' | 'hybrid';

export interface PlacedReplica {
  readonly node: string;
  readonly name: string;
  readonly backend: string;
  /** By the self-test. */
  readonly msPerRow: number;
  readonly predictedMsPerRow: number | null;
  /** By real work, null before there was any. */
  readonly measuredMsPerRow: number | null;
  readonly measuredRows: number;
}

export interface PlacedStage {
  readonly layers: { readonly start: number; readonly end: number };
  readonly replicas: readonly PlacedReplica[];
  readonly bytesOut: number | null;
}

/** What one codec lately carried over a link. */
export interface CodecUse {
  readonly codec: string;
  readonly rows: number;
  readonly bytes: number;
  readonly plainBytes: number;
  /** What it does to the answers, as calibrated; null where that was not measured. */
  readonly error: { readonly relativeL2: number; readonly disagreement: number } | null;
}

export interface PlacedLink {
  readonly from: string;
  readonly to: string;
  readonly rttMs: number;
  readonly bytesPerMs: number;
  readonly measured: { readonly rtt: boolean; readonly rate: boolean };
  readonly codecs: readonly CodecUse[];
}

/** One entry of `GET /api/v1/placement`. */
export interface Placement {
  readonly model: string;
  readonly version: number;
  readonly epoch: number;
  /** null while it is not served. */
  readonly mode: Mode | null;
  readonly code?: ReasonCode;
  readonly reason?: string;
  readonly policy: { readonly mode?: Mode | 'auto'; readonly stages?: number; readonly cause: PlanSummary['cause'] };
  readonly stages: readonly PlacedStage[];
  readonly links: readonly PlacedLink[];
  /** What its owner allows coding to change, and the codecs that this allows where each stage begins. */
  readonly budget: { readonly errorBudget: number };
  readonly plan?: PlanSummary;
  readonly predicted: {
    readonly rowsPerSecond: number;
    readonly latencyMs: number;
    readonly bottleneckStage: number;
  } | null;
  readonly measured: {
    readonly rowsPerSecond: number;
    readonly bottleneckStage: number;
    readonly by: 'work' | 'self-test';
  } | null;
  /** Null where it is served whole. */
  readonly proof: {
    readonly state: 'proven' | 'proving' | 'suspected' | 'unproven';
    /** Golden vectors of the model. */
    readonly vectors: number;
    readonly routes: readonly {
      readonly nodes: readonly string[];
      readonly state: 'passed' | 'running';
      readonly tookMs: number | null;
    }[];
    readonly reason: string | null;
  } | null;
  readonly move: {
    readonly epoch: number;
    readonly plan: PlanSummary;
    readonly stages: readonly { readonly wanted: number; readonly ready: number }[];
  } | null;
  readonly note: string | null;
}

/** What is between two stages: the range of its links. */
export interface Hop {
  readonly bytes: number | null;
  readonly rttMs: readonly [low: number, high: number];
  readonly bytesPerMs: readonly [low: number, high: number];
  readonly measured: 'all' | 'some' | 'none';
  /** How what crosses is written, over all links; null before anything was. */
  readonly written: Written | null;
}

export interface Written {
  /** What carried most rows. */
  readonly codec: string;
  /** Of all codecs together. */
  readonly bytesPerRow: number;
  readonly plainBytesPerRow: number;
  /** Of that codec. */
  readonly error: CodecUse['error'];
  readonly otherCodecs: number;
}

/** The way from a stage to the next one; null where one node holds both. */
export function hopAfter({ stages, links }: Placement, stage: number): Hop | null {
  const ids = (at: number): Set<string> => new Set(stages[at]?.replicas.map(({ node }) => node));
  const [from, to] = [ids(stage), ids(stage + 1)];
  const between = links.filter((link) => from.has(link.from) && to.has(link.to));
  if (between.length === 0) return null;
  const range = (values: readonly number[]): [number, number] => [Math.min(...values), Math.max(...values)];
  const flags = between.flatMap(({ measured }) => [measured.rtt, measured.rate]);
  return {
    bytes: stages[stage]?.bytesOut ?? null,
    rttMs: range(between.map(({ rttMs }) => rttMs)),
    bytesPerMs: range(between.map(({ bytesPerMs }) => bytesPerMs)),
    written: writtenOver(between),
    measured: flags.every(Boolean) ? 'all' : flags.some(Boolean) ? 'some' : 'none',
  };
}

function writtenOver(links: readonly PlacedLink[]): Written | null {
  const byCodec = new Map<string, CodecUse>();
  for (const use of links.flatMap(({ codecs }) => codecs)) {
    const { rows, bytes, plainBytes } = byCodec.get(use.codec) ?? { rows: 0, bytes: 0, plainBytes: 0 };
    byCodec.set(use.codec, {
      ...use,
      rows: rows + use.rows,
      bytes: bytes + use.bytes,
      plainBytes: plainBytes + use.plainBytes,
    });
  }
  const uses = [...byCodec.values()].sort((a, b) => b.rows - a.rows);
  const [most] = uses;
  if (most === undefined) return null;
  const total = (of: (use: CodecUse) => number): number => uses.reduce((sum, use) => sum + of(use), 0);
  const rows = total((use) => use.rows);
  return {
    codec: most.codec,
    bytesPerRow: total((use) => use.bytes) / rows,
    plainBytesPerRow: total((use) => use.plainBytes) / rows,
    error: most.error,
    otherCodecs: uses.length - 1,
  };
}

/** What a replica needs for a row by the best figure there is. */
export const msOf = ({ measuredMsPerRow, msPerRow }: PlacedReplica): number => measuredMsPerRow ?? msPerRow;

/** The longest time of any replica, which bars are drawn against. */
export const longestMs = ({ stages }: Placement): number =>
  Math.max(
    Number.MIN_VALUE,
    ...stages.flatMap(({ replicas }) => replicas.flatMap((replica) => [msOf(replica), replica.predictedMsPerRow ?? 0])),
  );

/** How far the plan is from what no placement can exceed, as a share; null where nothing was computed. */
export function gapOf({ plan }: Placement): number | null {
  if (plan === undefined || plan.boundRowsPerSecond <= 0) return null;
  return Math.max(0, 1 - plan.rowsPerSecond / plan.boundRowsPerSecond);
}
