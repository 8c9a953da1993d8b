/** How a range of layers is walked: in windows of about equal guessed cost, none of them larger than what is free. */
import { weightBytesOf, type LayerRange, type ModelChain } from '@shoal/sharding';

/** Bounds the time of a survey: each window is loaded and run three or four times. */
const WINDOWS_MAX = 64;

/**
 * Consecutive windows that end at cuts where a stage may end. One that cannot be made small enough is there all the same:
 * who walks it finds out.
 */
export function windowsOf({ graph, cuts }: ModelChain, range: LayerRange, bytesMax: number): readonly LayerRange[] {
  const costs = graph.layers.map(({ cost }) => cost);
  const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
  const costOf = ({ start, end }: LayerRange): number =>
    costs.slice(start, end).reduce((sum, cost) => sum + cost + 0.01 * mean, 0);
  const costMax = costOf(range) / WINDOWS_MAX;
  const ends = cuts
    .filter(({ position, forbidden }) => position > range.start && position <= range.end && forbidden === null)
    .map(({ position }) => position);
  const windows: LayerRange[] = [];
  let start = range.start;
  let reached = range.start;
  for (const end of ends) {
    const wider = { start, end };
    const isTooMuch = costOf(wider) > costMax || weightBytesOf(graph, wider) > bytesMax;
    if (reached > start && isTooMuch) {
      windows.push({ start, end: reached });
      start = reached;
    }
    reached = end;
  }
  windows.push({ start, end: reached });
  return windows;
}
