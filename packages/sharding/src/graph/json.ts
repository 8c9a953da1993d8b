/**
 * Reads of untrusted JSON: each returns the expected type or throws a ModelError that names the field.
 * Only own properties are seen, so a key such as `constructor` never finds what JavaScript put there.
 */
import { JSON_DEPTH_MAX, JSON_VALUES_MAX, NAME_CHARS_MAX } from './limits.ts';
import { ModelError } from './model-error.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : typeof value;
}

export function asRecord(value: unknown, field: string): JsonRecord {
  if (!isRecord(value)) throw new ModelError('malformed', field, `expected an object, got ${kindOf(value)}`);
  return value;
}

export function asArray(value: unknown, field: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new ModelError('malformed', field, `expected an array, got ${kindOf(value)}`);
  if (value.length > max) throw new ModelError('too-large', field, `${value.length} entries, at most ${max}`);
  return value;
}

export function asString(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new ModelError('malformed', field, `expected a string, got ${kindOf(value)}`);
  return value;
}

/** A whole number in `[min, max]`; protobuf's JSON writes 64-bit integers as strings. */
export function asInteger(value: unknown, field: string, min: number, max: number): number {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number)) {
    throw new ModelError('malformed', field, `expected a whole number, got ${kindOf(value)}`);
  }
  if (number < min || number > max) throw new ModelError('too-large', field, `${number} is outside [${min}, ${max}]`);
  return number;
}

/**
 * A name that may become a key of a plain object in tfjs, which keeps nodes, layers and weights so: names
 * that every object inherits would be taken for entries that exist.
 */
export function asName(value: unknown, field: string): string {
  const name = asString(value, field);
  if (name.length === 0) throw new ModelError('bad-name', field, 'the name is empty');
  if (name.length > NAME_CHARS_MAX) {
    throw new ModelError('too-large', field, `a name of ${name.length} characters, at most ${NAME_CHARS_MAX}`);
  }
  if (name in Object.prototype) throw new ModelError('bad-name', field, `"${name}" is reserved by JavaScript`);
  return name;
}

/** The own property `key`, or undefined where it is absent or null. */
export function property(record: JsonRecord, key: string): unknown {
  return Object.hasOwn(record, key) ? (record[key] ?? undefined) : undefined;
}

/** Refuses JSON that is nested too deeply or has too many values, without recursion. */
export function checkJsonBounds(root: unknown, field: string): void {
  let level: unknown[] = [root];
  let values = 0;
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > JSON_DEPTH_MAX) throw new ModelError('too-large', field, `nested deeper than ${JSON_DEPTH_MAX}`);
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue;
      const children: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
      values += children.length;
      if (values > JSON_VALUES_MAX) throw new ModelError('too-large', field, `more than ${JSON_VALUES_MAX} values`);
      for (const child of children) if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
}
