/** What "copy diagnostics" puts on the clipboard: enough to find a fault, and no secret. */
import type { NodeSnapshot } from '../shared/sdk.ts';
import type { DeviceFacts } from './fit.ts';

export interface LogLine {
  readonly atMs: number;
  readonly code: string;
  readonly text: string;
}

export interface DiagnosticsInput {
  readonly atMs: number;
  readonly userAgent: string;
  readonly facts: DeviceFacts | null;
  readonly snapshot: NodeSnapshot | null;
  readonly error: { readonly code: string; readonly reason: string } | null;
  readonly log: readonly LogLine[];
}

// A signed invite or session is three base64url parts; nothing else in a report looks like one.
const SIGNED_TOKEN = /eyJ[\w-]*\.[\w-]+\.[\w-]+/g;

export function withoutSecrets(text: string): string {
  return text.replaceAll(SIGNED_TOKEN, '[removed]');
}

/** JSON text, with times in ISO 8601. */
export function diagnosticsText(input: DiagnosticsInput): string {
  return withoutSecrets(
    JSON.stringify(
      {
        at: new Date(input.atMs).toISOString(),
        userAgent: input.userAgent,
        device: input.facts,
        node: input.snapshot,
        error: input.error,
        log: input.log.map((line) => ({ at: new Date(line.atMs).toISOString(), code: line.code, text: line.text })),
      },
      null,
      2,
    ),
  );
}
