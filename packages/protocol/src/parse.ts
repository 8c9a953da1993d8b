/** Parse at the door: unknown values against a schema, with an error that names the field and its limit. */
import type * as z from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import { MeshError, type ReasonCode } from './reasons.ts';

/** Reasons travel in messages of their own, whose fields are bounded. */
const ISSUE_LENGTH_MAX = 256;
/** The compact build of the schema library brings no texts along. */
const describeIssue = en().localeError;

/**
 * Validates `value` at the door.
 * @throws MeshError `code` with the path of the first field at fault and what it should have been
 */
export function parseWith<Schema extends z.ZodMiniType>(
  schema: Schema,
  value: unknown,
  what: string,
  code: ReasonCode = 'BAD_FRAME',
): z.infer<Schema> {
  const parsed = schema.safeParse(value, { error: describeIssue });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? 'value' : issue.path.map(String).join('.');
  const text = `${path}: ${issue?.message ?? 'invalid'}`;
  const short = text.length > ISSUE_LENGTH_MAX ? `${text.slice(0, ISSUE_LENGTH_MAX)}…` : text;
  throw new MeshError(code, `${what}: ${short}`);
}
