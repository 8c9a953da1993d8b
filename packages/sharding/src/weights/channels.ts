/** Walks a row-major tensor along one axis. */

export interface Channels {
  readonly count: number;
  /** Elements between two neighbours along the axis. */
  readonly stride: number;
}

/** The channels of `axis`: element i belongs to channel `floor(i / stride) % count`. */
export function channelsOf(shape: readonly number[], axis: number): Channels {
  const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return { count: shape[axis] ?? 1, stride };
}

/** Calls `visit(channel, start, end)` for every run of elements `[start, end)` of one channel, in order of position. */
export function eachRun(
  length: number,
  { count, stride }: Channels,
  visit: (channel: number, start: number, end: number) => void,
): void {
  for (let start = 0, channel = 0; start < length; start += stride) {
    visit(channel, start, start + stride);
    channel = channel + 1 === count ? 0 : channel + 1;
  }
}
