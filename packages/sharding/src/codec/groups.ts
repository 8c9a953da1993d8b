/**
 * Which elements share a scale, and which are neighbours. Both follow from the tensor's shape alone, so a payload need not
 * tell them: the last axis is taken for channels, the one before it for a row (of pixels, of tokens).
 */
import { elementCount } from '@shoal/protocol';

/** Fewest elements that pay for a scale of their own. */
const CHANNEL_ELEMENTS_MIN = 8;
/** Elements in a row that share a scale where channels are too short. */
export const BLOCK_ELEMENTS = 64;

export interface Groups {
  readonly elements: number;
  /** Channels, each of them a group; 0 where groups are blocks of `BLOCK_ELEMENTS`. */
  readonly channels: number;
  /** Number of groups. */
  readonly count: number;
  /** How far back the neighbour before lies, and the one above: at least 1. */
  readonly left: number;
  readonly up: number;
}

export function groupsOf(shape: readonly number[]): Groups {
  const elements = elementCount(shape);
  const last = Math.max(1, shape.at(-1) ?? 1);
  const row = shape.length >= 3 ? Math.max(1, shape.at(-2) ?? 1) : 1;
  const byChannel = shape.length >= 2 && elements >= CHANNEL_ELEMENTS_MIN * last;
  return {
    elements,
    channels: byChannel ? last : 0,
    count: byChannel ? last : Math.ceil(elements / BLOCK_ELEMENTS),
    left: last,
    up: last * row,
  };
}

/** The group of element i. */
export const groupOf = (i: number, { channels }: Groups): number =>
  channels > 0 ? i % channels : Math.floor(i / BLOCK_ELEMENTS);
