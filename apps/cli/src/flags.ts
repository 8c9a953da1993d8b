/** Flags as text, read with an error that names the flag and its limit. */

/** One clear line for the person at the keyboard; the process ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function wholeNumber(flag: string, text: string | undefined, fallback: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= max) return value;
  throw new UsageError(`${flag} is "${text}", expected a whole number from 0 to ${max}`);
}

/** A number in (0, 1]. @throws UsageError */
export function share(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new UsageError(`${flag} is "${text}", expected a number above 0 and at most 1`);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1000,
  m: 1e6,
  g: 1e9,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
};

/** A size such as `500MB` or `1.5 GiB`, in bytes. @throws UsageError */
export function sizeBytes(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parts = /^(\d+(?:\.\d+)?)\s*([kmg]i?)?b?$/i.exec(text.trim());
  const unit = UNITS[(parts?.[2] ?? '').toLowerCase()];
  const bytes = Math.floor(Number(parts?.[1]) * (unit ?? Number.NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UsageError(`${flag} is "${text}", expected a size such as 500MB or 2GiB`);
}

/** @throws UsageError */
export function oneOf<Value extends string>(
  flag: string,
  text: string | undefined,
  values: readonly Value[],
): Value | undefined {
  if (text === undefined) return undefined;
  const value = values.find((known) => known === text);
  if (value !== undefined) return value;
  throw new UsageError(`${flag} is "${text}", expected one of ${values.join(', ')}`);
}

/** Bytes for people: `27.9 MB`. */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes >= 1e6 ? ['MB', 1e6] : bytes >= 1000 ? ['kB', 1000] : ['bytes', 1];
  return size === 1 ? `${bytes} bytes` : `${(bytes / size).toFixed(1)} ${unit}`;
}
