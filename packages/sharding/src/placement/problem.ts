/**
 * A model and a set of nodes as flat arrays: the form every solver works on. Cuts are numbered 0..cutCount among the
 * legal ones that are considered; a range is `[from, to)` in those numbers, and times are per row.
 *
 * The cost model, all of it:
 * - A node's rate on a range is min(speed / Σ computeMs, receive limit / bytes at the first cut, send limit / bytes at the
 *   last cut) rows/ms. Computing and sending overlap: a worker computes while the channel drains.
 * - A link i -> j carries bytesPerMs / bytes at the cut rows/ms.
 * - The throughput of a placement is the maximum flow from client to client through nodes and links with these capacities.
 *   For stages of one node it is the bottleneck of stages and links.
 */
import { thinnestCuts } from './cuts.ts';
import type { CutFigures } from './cuts.ts';
import { checkLink, checkNodes } from './mesh.ts';
import type { Links, NodeProfile } from './mesh.ts';
import { checkProfile } from './profile.ts';
import type { LayerProfile, ModelProfile } from './profile.ts';

export interface Problem {
  readonly profile: ModelProfile;
  readonly nodes: readonly NodeProfile[];
  /** Number of the last cut; there are cutCount + 1 of them. */
  readonly cutCount: number;
  /** Layer position of each cut. */
  readonly cuts: Int32Array;
  /** Σ computeMs of the layers before each cut. */
  readonly cost: Float64Array;
  /** Σ weightBytes of the layers before each cut, shared constants aside. */
  readonly weight: Float64Array;
  /** Bytes a row carries over each cut. */
  readonly bytes: Float64Array;
  readonly nodeCount: number;
  readonly speed: Float64Array;
  /** `reach[i * (cutCount + 1) + from]`: the last cut to which node i can hold and run the layers after `from`; `from` if none. */
  readonly reach: Int32Array;
  /** `into[cut * nodeCount + i]`: rows/ms that node i can receive over the cut, from the client at cut 0. */
  readonly into: Float64Array;
  /** `outOf[cut * nodeCount + i]`: rows/ms that node i can send over the cut, to the client at the last cut. */
  readonly outOf: Float64Array;
  readonly clientBytesPerMs: Float64Array;
  readonly clientRttMs: Float64Array;
  /** `pair[i * nodeCount + j]`: bytes/ms from i to j. */
  readonly pair: Float64Array;
  readonly rttMs: Float64Array;
  /** Whether some pair has less than the interfaces of both its ends would allow: only then can single links bind. */
  readonly pairsMatter: boolean;
}

/**
 * Of longer chains this many cuts are considered, the thinnest of each span alike in cost and weights: 320 leave every
 * legal cut of a 318-layer network, and keep the time to plan within its bounds.
 */
export const CUTS_CONSIDERED_MAX = 320;

export interface CompileOptions {
  /** Layer positions of legal cuts to consider in any case. */
  readonly alsoCuts?: readonly number[];
  readonly cutsMax?: number;
}

/** Throws RangeError naming the field that is wrong. */
export function compileProblem(
  profile: ModelProfile,
  nodes: readonly NodeProfile[],
  links: Links,
  { alsoCuts = [], cutsMax = CUTS_CONSIDERED_MAX }: CompileOptions = {},
): Problem {
  checkProfile(profile);
  checkNodes(nodes);
  const legal = Int32Array.from(profile.legal.flatMap((allowed, k) => (allowed ? [k] : [])));
  const figures = cutFigures(profile, legal);
  const considered = new Set(Array.from(thinnestCuts(figures, cutsMax), (k) => legal[k]!));
  for (const cut of alsoCuts) if (profile.legal[cut] === true) considered.add(cut);
  const cuts = legal.filter((cut) => considered.has(cut));
  const { cost, weight, bytes } = cutFigures(profile, cuts);
  return {
    profile,
    nodes,
    cutCount: cuts.length - 1,
    cuts,
    cost,
    weight,
    bytes,
    nodeCount: nodes.length,
    speed: Float64Array.from(nodes, (node) => node.speed),
    reach: reachOf(profile, nodes, cuts),
    ...linkArrays(nodes, links, bytes),
  };
}

function cutFigures(profile: ModelProfile, cuts: Int32Array): CutFigures {
  const sumBefore = (of: (layer: LayerProfile) => number): Float64Array => {
    const prefix = new Float64Array(profile.layers.length + 1);
    profile.layers.forEach((layer, i) => (prefix[i + 1] = prefix[i]! + of(layer)));
    return Float64Array.from(cuts, (k) => prefix[k]!);
  };
  return {
    cost: sumBefore((layer) => layer.computeMs),
    weight: sumBefore((layer) => layer.weightBytes),
    bytes: Float64Array.from(cuts, (k) => profile.bytesAtCut[k]!),
  };
}

/** Rows/ms that node i can pass through `[from, to)`, single links aside. */
export function nodeRate(problem: Problem, i: number, from: number, to: number): number {
  const { cost, nodeCount } = problem;
  return Math.min(
    problem.speed[i]! / (cost[to]! - cost[from]!),
    problem.into[from * nodeCount + i]!,
    problem.outOf[to * nodeCount + i]!,
  );
}

/** Rows/ms that the link from i to j carries over a cut. */
export function pairRate(problem: Problem, i: number, j: number, cut: number): number {
  return perRow(problem.pair[i * problem.nodeCount + j]!, problem.bytes[cut]!);
}

/** The last cut to which node i can hold the layers after `from`. */
export function reachFrom(problem: Problem, i: number, from: number): number {
  return problem.reach[i * (problem.cutCount + 1) + from]!;
}

function reachOf(profile: ModelProfile, nodes: readonly NodeProfile[], cuts: Int32Array): Int32Array {
  const width = cuts.length;
  const last = width - 1;
  const reach = new Int32Array(nodes.length * width);
  const uses = sharedUses(profile);
  const byOps = new Map<string, Int32Array>();
  // From each cut, memory grows with every layer: nodes in order of memory each go on where the smaller one stopped.
  const order = nodes.map((_, i) => i).sort((i, j) => nodes[i]!.memoryBytes - nodes[j]!.memoryBytes);
  for (let from = 0; from <= last; from++) {
    let to = from;
    let weights = 0;
    let working = 0;
    const grown = { weights: 0, working: 0 };
    const seen = new Set<number>();
    for (const i of order) {
      const limit = nodes[i]!.memoryBytes;
      while (to < last) {
        grown.weights = weights;
        grown.working = working;
        const added: number[] = [];
        for (let layer = cuts[to]!; layer < cuts[to + 1]!; layer++) {
          grown.weights += profile.layers[layer]!.weightBytes;
          grown.working = Math.max(grown.working, profile.layers[layer]!.workingBytes);
          for (const constant of uses[layer] ?? []) {
            if (seen.has(constant) || added.includes(constant)) continue;
            added.push(constant);
            grown.weights += profile.shared![constant]!.bytes;
          }
        }
        if (grown.weights + grown.working > limit) break;
        ({ weights, working } = grown);
        for (const constant of added) seen.add(constant);
        to++;
      }
      reach[i * width + from] = to;
    }
  }
  nodes.forEach((node, i) => {
    const lacks = node.lacksOps ?? [];
    if (lacks.length === 0) return;
    const key = JSON.stringify(lacks);
    const runs = byOps.get(key) ?? supportedReach(profile, lacks, cuts);
    byOps.set(key, runs);
    for (let from = 0; from <= last; from++) {
      reach[i * width + from] = Math.min(reach[i * width + from]!, runs[from]!);
    }
  });
  return reach;
}

function sharedUses(profile: ModelProfile): number[][] {
  const uses: number[][] = [];
  profile.shared?.forEach((constant, c) => {
    for (const layer of new Set(constant.layers)) (uses[layer] ??= []).push(c);
  });
  return uses;
}

/** For each cut, the last cut before a layer with one of the ops in `lacks`. */
function supportedReach(profile: ModelProfile, lacks: readonly string[], cuts: Int32Array): Int32Array {
  const lacking = new Set(lacks);
  const reach = new Int32Array(cuts.length);
  const last = cuts.length - 1;
  reach[last] = last;
  for (let from = last - 1; from >= 0; from--) {
    let runs = true;
    for (let layer = cuts[from]!; layer < cuts[from + 1]!; layer++) {
      if (profile.layers[layer]!.ops?.some((op) => lacking.has(op)) === true) runs = false;
    }
    reach[from] = runs ? reach[from + 1]! : from;
  }
  return reach;
}

type LinkArrays = Pick<
  Problem,
  'into' | 'outOf' | 'clientBytesPerMs' | 'clientRttMs' | 'pair' | 'rttMs' | 'pairsMatter'
>;

function linkArrays(nodes: readonly NodeProfile[], links: Links, bytes: Float64Array): LinkArrays {
  const n = nodes.length;
  checkLink(links.default, 'links.default');
  const pair = new Float64Array(n * n);
  const rttMs = new Float64Array(n * n);
  // A lone node has no peers; its limits only have to be numbers.
  const receive = new Float64Array(n).fill(n === 1 ? links.default.bytesPerMs : 0);
  const send = new Float64Array(n).fill(n === 1 ? links.default.bytesPerMs : 0);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) continue;
      const known = links.between?.(nodes[i]!.id, nodes[j]!.id);
      const link =
        known === undefined ? links.default : checkLink(known, `links.between(${nodes[i]!.id}, ${nodes[j]!.id})`);
      pair[i * n + j] = link.bytesPerMs;
      rttMs[i * n + j] = link.rttMs;
      send[i] = Math.max(send[i]!, link.bytesPerMs);
      receive[j] = Math.max(receive[j]!, link.bytesPerMs);
    }
  }
  const clientBytesPerMs = new Float64Array(n);
  const clientRttMs = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const known = links.client?.(nodes[i]!.id);
    const link = known === undefined ? links.default : checkLink(known, `links.client(${nodes[i]!.id})`);
    clientBytesPerMs[i] = link.bytesPerMs;
    clientRttMs[i] = link.rttMs;
  }
  const last = bytes.length - 1;
  const into = new Float64Array(bytes.length * n);
  const outOf = new Float64Array(bytes.length * n);
  for (let k = 0; k <= last; k++) {
    for (let i = 0; i < n; i++) {
      into[k * n + i] = perRow(k === 0 ? clientBytesPerMs[i]! : receive[i]!, bytes[k]!);
      outOf[k * n + i] = perRow(k === last ? clientBytesPerMs[i]! : send[i]!, bytes[k]!);
    }
  }
  let pairsMatter = false;
  for (let i = 0; i < n && !pairsMatter; i++) {
    for (let j = 0; j < n; j++) {
      if (i !== j && pair[i * n + j]! < Math.min(send[i]!, receive[j]!)) pairsMatter = true;
    }
  }
  return { into, outOf, clientBytesPerMs, clientRttMs, pair, rttMs, pairsMatter };
}

/** Rows/ms that a link carries; rows without bytes pass at once, also over a link without limit. */
function perRow(bytesPerMs: number, bytes: number): number {
  return bytes === 0 ? Infinity : bytesPerMs / bytes;
}
