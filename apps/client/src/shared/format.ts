/** Numbers as people read them, each with its unit. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

const oneDecimal = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** `1536` is `1.5 KiB`; from 100 of a unit on, no decimals. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? whole : oneDecimal;
  return `${digits.format(value)} ${BYTE_UNITS[unit]}`;
}

/** `1234567` is `1,234,567`. */
export function formatCount(count: number): string {
  return whole.format(count);
}

/** Milliseconds to three figures: `0.42 ms`, `8.4 ms`, `105 ms`, `1.9 s`, `12 s`. */
export function formatMs(ms: number): string {
  if (ms >= 9_950) return `${whole.format(ms / 1000)} s`;
  if (ms >= 1000) return `${oneDecimal.format(ms / 1000)} s`;
  if (ms >= 99.5) return `${whole.format(ms)} ms`;
  if (ms >= 1) return `${oneDecimal.format(ms)} ms`;
  return `${Number(ms.toFixed(2))} ms`;
}

/** A stay, in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min ${seconds % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A share in [0, 1] as a percentage: `0.9731` is `97.3 %`. */
export function formatShare(share: number): string {
  return `${oneDecimal.format(share * 100)} %`;
}

/** A small share by its leading figure, as errors are told: `0.0123` is `1.2 %`, `0.00037` is `0.04 %`, less than that `< 0.01 %`. */
export function formatError(share: number): string {
  if (share > 0 && share < 0.0001) return '< 0.01 %';
  return share < 0.001 ? `${Number((share * 100).toFixed(2))} %` : formatShare(share);
}

/** A probability in (0, 1) never reads as 0 % or 100 %. */
export function formatProbability(probability: number): string {
  if (probability > 0 && probability < 0.0005) return '< 0.1 %';
  if (probability < 1 && probability >= 0.9995) return '> 99.9 %';
  return formatShare(probability);
}

/** A time of day with seconds, in the reader's time zone. */
export function formatTime(atMs: number): string {
  return new Date(atMs).toLocaleTimeString('en-GB');
}
