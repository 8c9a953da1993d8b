/** What happened in a run of the dispatcher, and what must be true of it whatever happened. */
import type { PeerId, ReasonCode, RequestId } from '@shoal/protocol';

export type HistoryEntry =
  | {
      readonly type: 'submitted';
      readonly atMs: number;
      readonly requestId: RequestId;
      readonly rows: number;
      readonly deadlineAtMs: number;
    }
  | { readonly type: 'sent'; readonly atMs: number; readonly requestId: RequestId; readonly route: readonly PeerId[] }
  /** Rows `[start, end)` as the node computed them, not as the dispatcher remembers them. */
  | {
      readonly type: 'accepted';
      readonly atMs: number;
      readonly requestId: RequestId;
      readonly start: number;
      readonly end: number;
    }
  | { readonly type: 'settled'; readonly atMs: number; readonly requestId: RequestId; readonly code: ReasonCode | null }
  | { readonly type: 'lost'; readonly atMs: number; readonly node: PeerId }
  | { readonly type: 'placed'; readonly atMs: number; readonly nodes: readonly PeerId[] };

export interface Outcomes {
  readonly accepted: number;
  readonly results: number;
  readonly errors: number;
  readonly cancelled: number;
}

/** How the requests of a run ended; without violations, accepted = results + errors + cancelled. */
export function outcomesOf(history: readonly HistoryEntry[]): Outcomes {
  const settled = history.filter((entry) => entry.type === 'settled');
  const results = settled.filter(({ code }) => code === null).length;
  const cancelled = settled.filter(({ code }) => code === 'CANCELLED').length;
  return {
    accepted: history.filter(({ type }) => type === 'submitted').length,
    results,
    errors: settled.length - results - cancelled,
    cancelled,
  };
}

/** Every breach of what the dispatcher promises, in words; none for a run that was right. */
export function violationsOf(history: readonly HistoryEntry[]): string[] {
  const violations: string[] = [];
  const requests = new Map<RequestId, { rows: number; deadlineAtMs: number; accepted: number[]; settled: boolean }>();
  const lost = new Set<PeerId>();
  for (const entry of history) {
    const at = `at ${entry.atMs.toFixed(3)} ms`;
    switch (entry.type) {
      case 'submitted':
        requests.set(entry.requestId, {
          ...entry,
          accepted: Array.from<number>({ length: entry.rows }).fill(0),
          settled: false,
        });
        break;
      case 'sent':
        for (const node of entry.route) {
          if (lost.has(node)) violations.push(`${entry.requestId}: sent to ${node}, known to be lost, ${at}`);
        }
        if (requests.get(entry.requestId)?.settled !== false) {
          violations.push(`${entry.requestId}: sent though it is over ${at}`);
        }
        break;
      case 'accepted': {
        const request = requests.get(entry.requestId);
        if (request === undefined || request.settled) violations.push(`${entry.requestId}: accepted though over ${at}`);
        for (let row = entry.start; row < entry.end; row++) {
          if (request?.accepted[row] === undefined) violations.push(`${entry.requestId}: no row ${row} was asked for`);
          else if (++request.accepted[row]! > 1) violations.push(`${entry.requestId}: row ${row} accepted twice ${at}`);
        }
        break;
      }
      case 'settled': {
        const request = requests.get(entry.requestId);
        if (request === undefined) {
          violations.push(`${entry.requestId}: settled, never submitted`);
          break;
        }
        if (request.settled) violations.push(`${entry.requestId}: settled twice ${at}`);
        request.settled = true;
        if (entry.atMs > request.deadlineAtMs) violations.push(`${entry.requestId}: settled late, ${at}`);
        const missing = request.accepted.indexOf(0);
        if (entry.code === null && missing >= 0) violations.push(`${entry.requestId}: done without row ${missing}`);
        break;
      }
      case 'lost':
        lost.add(entry.node);
        break;
      case 'placed':
        for (const node of entry.nodes) lost.delete(node);
        break;
    }
  }
  for (const [requestId, { settled }] of requests) if (!settled) violations.push(`${requestId}: never settled`);
  const { accepted, results, errors, cancelled } = outcomesOf(history);
  if (accepted !== results + errors + cancelled) {
    violations.push(`${accepted} accepted, but ${results} results, ${errors} errors, ${cancelled} cancelled`);
  }
  return violations;
}
