/**
 * A chain cut for devices whose order is given: the exact dynamic programme over prefixes, O(L² p) for L legal cuts and p
 * devices, with the slowest stage or link as its objective.
 */
import type { Links, NodeProfile } from './mesh.ts';
import { compileProblem, nodeRate, pairRate, reachFrom } from './problem.ts';
import type { LayerRange, ModelProfile } from './profile.ts';

export interface Partition {
  /** One range for each device, in their order. */
  readonly ranges: readonly LayerRange[];
  /** Time per row of the slowest stage or link. */
  readonly bottleneckMs: number;
}

/**
 * The partition with the fastest bottleneck in which every device has one stage and holds it, or undefined where there is
 * none. Throws RangeError naming the field of the profile, devices or links that is wrong.
 */
export function partitionChain(
  profile: ModelProfile,
  devices: readonly NodeProfile[],
  links: Links,
): Partition | undefined {
  if (devices.length === 0) throw new RangeError('devices must hold at least one device');
  const problem = compileProblem(profile, devices, links, { cutsMax: Infinity });
  const width = problem.cutCount + 1;
  // best[p * width + to]: rows/ms of the first p devices on the layers before `to`.
  const best = new Float64Array((devices.length + 1) * width);
  const before = new Int32Array((devices.length + 1) * width);
  best[0] = Infinity;
  for (let device = 0; device < devices.length; device++) {
    for (let from = 0; from < problem.cutCount; from++) {
      const arriving = device === 0 || from === 0 ? Infinity : pairRate(problem, device - 1, device, from);
      const passed = Math.min(best[device * width + from]!, arriving);
      if (passed === 0) continue;
      const reach = reachFrom(problem, device, from);
      for (let to = from + 1; to <= reach; to++) {
        const rate = Math.min(passed, nodeRate(problem, device, from, to));
        if (rate <= best[(device + 1) * width + to]!) continue;
        best[(device + 1) * width + to] = rate;
        before[(device + 1) * width + to] = from;
      }
    }
  }
  const rate = best[devices.length * width + problem.cutCount]!;
  if (rate === 0) return undefined;
  const ranges: LayerRange[] = [];
  for (let p = devices.length, to = problem.cutCount; p > 0; p--) {
    const from = before[p * width + to]!;
    ranges.unshift({ start: problem.cuts[from]!, end: problem.cuts[to]! });
    to = from;
  }
  return { ranges, bottleneckMs: 1 / rate };
}
