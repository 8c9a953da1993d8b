/**
 * Seeded models and meshes in the image of real ones. Models: CNNs (compute even along the chain, weights towards its end,
 * activations that halve where the picture shrinks, about every second cut legal) and transformers (blocks of three layers, one even
 * width, a wide cut inside each block). Bytes at cuts are those of the mesh's codecs: one byte an element for CNNs, two for
 * transformers. Meshes: speeds over a range of 8, memory over a range of 4 around 0.2 to 2 models, and one of three
 * nets: a LAN, homes behind their own uplinks, or sites of 4 to 24 tabs and a quarter of homes.
 */
import { seededRandom } from '@shoal/base';
import type { Link, Links, ModelProfile, NodeProfile } from '@shoal/sharding';

export type Net = 'lan' | 'wan' | 'sites';

export interface Instance {
  readonly net: Net;
  readonly profile: ModelProfile;
  readonly nodes: readonly NodeProfile[];
  readonly links: Links;
}

interface Draw {
  next(): number;
  /** Uniform. */
  between(low: number, high: number): number;
  /** Uniform in the logarithm. */
  scale(low: number, high: number): number;
  whole(low: number, high: number): number;
}

const MB = 1e6;
const NETS: readonly Net[] = ['lan', 'wan', 'sites'];
const SPEED_SPREAD = 8;

export function placementInstance(seed: number, nodeCount: number): Instance {
  const draw = drawFrom(seed);
  const profile = draw.next() < 0.5 ? cnn(draw) : transformer(draw);
  const net = NETS[seed % NETS.length]!;
  return { net, profile, ...mesh(draw, nodeCount, profile, net) };
}

/** A node like those of the instance's mesh that is not one of them. */
export function joiner(instance: Instance, seed: number): NodeProfile {
  const draw = drawFrom(seed);
  const like = instance.nodes[draw.whole(0, instance.nodes.length - 1)]!;
  return { ...like, id: 'joiner', speed: draw.scale(1, SPEED_SPREAD) / Math.sqrt(SPEED_SPREAD) };
}

function drawFrom(seed: number): Draw {
  const random = seededRandom(seed);
  const between = (low: number, high: number): number => low + (high - low) * random.next();
  return {
    next: () => random.next(),
    between,
    scale: (low, high) => Math.exp(between(Math.log(low), Math.log(high))),
    whole: (low, high) => Math.floor(between(low, high + 1)),
  };
}

function cnn(draw: Draw): ModelProfile {
  const count = draw.whole(40, 160);
  const totalMs = draw.scale(40, 1000);
  const totalBytes = draw.scale(10 * MB, 200 * MB);
  const shrinks = 5 / count;
  const bytesAtCut = [224 * 224 * 3];
  const legal = [true];
  let activation = draw.between(0.2, 0.45) * MB;
  const shares = Array.from({ length: count }, (_, i) => {
    const share = { compute: draw.scale(0.3, 3), weights: Math.exp((4 * i) / count) * draw.scale(0.2, 5) };
    if (draw.next() < shrinks) activation /= 2.2;
    bytesAtCut.push(activation * draw.scale(0.4, 3));
    legal.push(draw.next() < 0.6 || i === count - 1);
    return share;
  });
  bytesAtCut[count] = 4000;
  const compute = shares.reduce((sum, share) => sum + share.compute, 0);
  const weights = shares.reduce((sum, share) => sum + share.weights, 0);
  const layers = shares.map((share, i) => ({
    computeMs: (share.compute / compute) * totalMs,
    weightBytes: Math.round((share.weights / weights) * totalBytes),
    workingBytes: Math.round(8 * (bytesAtCut[i]! + bytesAtCut[i + 1]!)),
  }));
  return { name: 'cnn', layers, bytesAtCut, legal };
}

function transformer(draw: Draw): ModelProfile {
  const blocks = draw.whole(6, 32);
  const width = [256, 384, 512, 768, 1024][draw.whole(0, 4)]!;
  const tokens = draw.whole(16, 128);
  const activation = tokens * width * 2;
  const blockMs = draw.scale(2, 20) * (width / 512) ** 2;
  const weightBytes = 4 * width * width * 4;
  const workingBytes = activation * 12;
  const embedding = {
    computeMs: 0.05 * blockMs,
    weightBytes: draw.whole(8000, 32_000) * width * 4,
    workingBytes: activation,
  };
  const layers = [embedding];
  const bytesAtCut = [tokens * 4, activation];
  for (let block = 0; block < blocks; block++) {
    // Attention, then the two halves of the feed-forward net with its wide middle.
    for (const [share, wide] of [
      [0.4, 1],
      [0.3, 5],
      [0.3, 1],
    ] as const) {
      layers.push({ computeMs: blockMs * share * draw.between(0.95, 1.05), weightBytes, workingBytes });
      bytesAtCut.push(activation * wide);
    }
  }
  layers.push({ computeMs: 0.1 * blockMs, weightBytes: width * 512 * 4, workingBytes: activation });
  bytesAtCut.push(512 * 4);
  return { name: 'transformer', layers, bytesAtCut, legal: bytesAtCut.map(() => true) };
}

function mesh(draw: Draw, count: number, profile: ModelProfile, net: Net): Pick<Instance, 'nodes' | 'links'> {
  const weights = profile.layers.reduce((sum, layer) => sum + layer.weightBytes, 0);
  const working = Math.max(...profile.layers.map((layer) => layer.workingBytes));
  const typical = draw.scale(0.2, 2);
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: `n${i}`,
    speed: draw.scale(1, SPEED_SPREAD) / Math.sqrt(SPEED_SPREAD),
    memoryBytes: Math.round(working + weights * typical * draw.scale(0.5, 2)),
  }));
  if (net === 'lan') return { nodes, links: lanLinks(draw) };
  const homes = new Map(
    [...nodes.map(({ id }) => id), 'joiner'].map((id) => [
      id,
      { up: draw.scale(1000, 12_000), down: draw.scale(4000, 30_000), awayMs: draw.between(5, 40), site: -1 },
    ]),
  );
  if (net === 'sites') {
    const sites = Math.max(2, Math.round(count / draw.whole(4, 24)));
    for (const home of homes.values()) if (draw.next() >= 0.25) home.site = draw.whole(0, sites - 1);
  }
  const between = (from: string, to: string): Link => {
    const a = homes.get(from)!;
    const b = homes.get(to)!;
    if (a.site >= 0 && a.site === b.site) return { rttMs: 1, bytesPerMs: 25_000 };
    return { rttMs: a.awayMs + b.awayMs, bytesPerMs: Math.min(a.up, b.down) };
  };
  const client = (id: string): Link => {
    const { up, down, awayMs } = homes.get(id)!;
    return { rttMs: awayMs + 5, bytesPerMs: Math.min(up, down) };
  };
  return { nodes, links: { default: { rttMs: 50, bytesPerMs: 2000 }, between, client } };
}

/** Every pair near the LAN's rate, as measurements have it. */
function lanLinks(draw: Draw): Links {
  const bytesPerMs = draw.between(15_000, 30_000);
  const measured = new Map<string, Link>();
  return {
    default: { rttMs: 1, bytesPerMs },
    between: (from, to) => {
      const pair = `${from} ${to}`;
      const link = measured.get(pair) ?? { rttMs: draw.between(0.5, 2), bytesPerMs: bytesPerMs * draw.between(0.8, 1) };
      measured.set(pair, link);
      return link;
    },
  };
}
