/**
 * The second, tighter upper bound: Lagrangian relaxation of "each node is in one stage" (Geoffrion 1974). At node prices π
 * that sum to 1, a stage [a, b) that passes T costs at least κ_T(a, b) (stage-price.ts), and a placement that passes T exists
 * only if the cheapest tiling of the chain costs at most 1. κ is convex in T with κ_0 = 0, so a tiling that costs v < 1 at T
 * costs more than 1 at any T' > T / v: pricing all ranges once gives a bound.
 *
 * Prices follow subgradients: a node that the cheapest tiling would use twice grows dearer. Steps look only at ranges that
 * cheap tilings have used; every few steps all legal ranges are priced, which makes the bound valid and brings in others.
 * Where few numbers of stages are left, each gets prices of its own: mixtures of short and long tilings are what
 * such a relaxation exploits. The tilings met on the way are good ones.
 */
import type { NodePrices } from './layer-prices.ts';
import { nodeRate, reachFrom } from './problem.ts';
import type { Problem } from './problem.ts';
import { addUse, leastPrice, leastSinglePrice } from './stage-price.ts';
import type { Shape } from './shape.ts';

/** Stage counts from this one on are bounded together. */
const STAGES_COUNTED_MAX = 20;
/** Rates kept in memory, 8 bytes each; a larger problem makes do with the first bound. */
const RATES_MAX = 3_000_000;
/** Rates looked at before the search for prices ends. */
const WORK_MAX = 8_000_000;
const STEPS_PER_ROUND = 10;
/** While more stage counts than this are above the target, they share their prices. */
const OPEN_MAX = 4;
/** A range joins when a tiling through it costs at most this much more than the cheapest. */
const NEAR = 1.06;
/** How far above what is already reached a bound is worth lowering. */
const CLOSE_ENOUGH = 1.004;
/** A round that lowers a bound by less has stalled. */
const PROGRESS_MIN = 0.0003;
const STALLS_MAX = 3;
/** Prices are kept from vanishing, so they may sum to this much more than 1. */
const ROUNDING = 1e-9;
const STEP_SIZE = 0.12;
/** Share of the past in the smoothed use of each node (volume algorithm, Barahona and Anbil 2000). */
const SMOOTHING = 0.8;

interface Prices {
  readonly price: Float64Array;
  readonly smoothed: Float64Array;
  /** The prices with the lowest rate ruled out since all ranges were last priced. */
  readonly best: Float64Array;
  bestRate: number;
  rate: number;
  step: number;
  stalls: number;
}

export class TilingBound {
  /** Tilings met on the way, in cut numbers of the problem, by their text. */
  readonly tilings = new Map<string, readonly number[]>();
  readonly #shape: Shape;
  readonly #cuts: number;
  readonly #nodes: number;
  readonly #stagesMax: number;
  readonly #target: number;
  /** Rows/ms that no tiling of s stages passes. */
  readonly #valid: Float64Array;
  /** First and last cut of every range that passes more than the target, by last cut. */
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  readonly #rates: Float64Array;
  readonly #total: number[] = [];
  readonly #kappa: Float64Array;
  /** Where κ was last attained on each range: the next search starts there. */
  readonly #density: Float64Array;
  readonly #everyRange: Int32Array;
  #active: Int32Array;
  #work = 0;

  /** `floor` is rows/ms that some placement passes, 0 if none is known. */
  constructor(problem: Problem, shape: Shape, start: NodePrices, floor: number) {
    this.#shape = shape;
    this.#cuts = problem.cutCount + 1;
    this.#nodes = problem.nodeCount;
    this.#stagesMax = Math.min(shape.stagesMax, problem.nodeCount, problem.cutCount, STAGES_COUNTED_MAX);
    this.#target = floor * CLOSE_ENOUGH;
    this.#valid = new Float64Array(this.#stagesMax + 1).fill(start.bound);
    this.#valid.fill(0, 0, Math.min(Math.max(1, shape.stagesMin), this.#stagesMax));
    this.#rates = new Float64Array((this.#nodes * this.#cuts * (this.#cuts - 1)) / 2);
    const row = new Float64Array(this.#nodes);
    for (let t = 1; t < this.#cuts; t++) {
      for (let f = 0; f < t; f++) {
        let total = 0;
        for (let i = 0; i < row.length; i++) {
          total += row[i] = reachFrom(problem, i, f) >= t ? nodeRate(problem, i, f, t) : 0;
        }
        if (total <= this.#target) continue;
        this.#rates.set(row, this.#from.length * this.#nodes);
        this.#from.push(f);
        this.#to.push(t);
        this.#total.push(total);
      }
    }
    this.#kappa = new Float64Array(this.#from.length);
    this.#density = new Float64Array(this.#from.length);
    this.#everyRange = Int32Array.from(this.#from.keys());
    this.#active = this.#everyRange;
    this.#seek(start);
  }

  /** Whether a problem is small enough for this bound. */
  static suits(problem: Problem): boolean {
    return (problem.nodeCount * (problem.cutCount + 1) * problem.cutCount) / 2 <= RATES_MAX;
  }

  /** Rows/ms that no placement passes. */
  get bound(): number {
    return Math.max(this.#target, this.#valid[largest(this.#valid)]!) * (1 + ROUNDING);
  }

  #seek(start: NodePrices): void {
    const common = pricesFrom(start.price, start.bound);
    const own = new Map<number, Prices>();
    this.#check(common, common.price);
    while (this.#work < WORK_MAX) {
      const stages = largest(this.#valid);
      if (this.#valid[stages]! <= this.#target) return;
      let open = 0;
      for (const rate of this.#valid) if (rate > this.#target) open++;
      const shared = open > OPEN_MAX && common.stalls < STALLS_MAX;
      const prices = shared ? common : (own.get(stages) ?? pricesFrom(common.price, this.#valid[stages]!));
      if (!shared) own.set(stages, prices);
      if (prices.stalls >= STALLS_MAX) return;
      const before = this.#valid[stages]!;
      prices.bestRate = Infinity;
      for (let step = 0; step < STEPS_PER_ROUND; step++) this.#step(prices, shared ? undefined : stages);
      this.#check(prices, prices.best);
      if (this.#valid[stages]! > before * (1 - PROGRESS_MIN)) prices.stalls++;
    }
  }

  /** Prices all ranges: what follows is valid for every tiling. Ranges near cheap tilings become the active ones. */
  #check(prices: Prices, price: Float64Array): void {
    const rate = Math.min(prices.bestRate, this.#valid[largest(this.#valid)]!);
    const paths = this.#price(this.#everyRange, price, rate);
    const active = new Set(this.#active.length === this.#everyRange.length ? [] : this.#active);
    for (let s = 1; s <= this.#stagesMax; s++) {
      // With one node a stage κ is no longer convex: then a price up to 1 says nothing of higher rates.
      const slack = this.#shape.replicasMax === 1 && paths.cost[s]! <= 1 + ROUNDING ? Infinity : 1 / paths.cost[s]!;
      this.#valid[s] = Math.min(this.#valid[s]!, rate * Math.max(1, slack));
      if (this.#valid[s]! > this.#target && paths.cost[s]! < Infinity) {
        for (const range of paths.tiling(s)) active.add(range);
      }
    }
    const { before, after, least } = this.#distances();
    for (const range of this.#everyRange) {
      const through = before[this.#from[range]!]! + this.#kappa[range]! + after[this.#to[range]!]!;
      if (through <= least * NEAR) active.add(range);
    }
    this.#active = Int32Array.from(active).sort();
  }

  /** Cheapest ways from the input to each cut and from each cut to the output, at the prices last used. */
  #distances(): { before: Float64Array; after: Float64Array; least: number } {
    const before = new Float64Array(this.#cuts).fill(Infinity);
    const after = new Float64Array(this.#cuts).fill(Infinity);
    before[0] = 0;
    after[this.#cuts - 1] = 0;
    for (const range of this.#everyRange) {
      const through = before[this.#from[range]!]! + this.#kappa[range]!;
      if (through < before[this.#to[range]!]!) before[this.#to[range]!] = through;
    }
    // Ranges come by last cut; going back, all ranges out of a cut come before those into it.
    for (let k = this.#everyRange.length - 1; k >= 0; k--) {
      const through = after[this.#to[k]!]! + this.#kappa[k]!;
      if (through < after[this.#from[k]!]!) after[this.#from[k]!] = through;
    }
    return { before, after, least: before[this.#cuts - 1]! };
  }

  /** One subgradient step over the active ranges, near the rate at which the cheapest tiling costs 1. */
  #step(prices: Prices, only: number | undefined): void {
    const { price, smoothed } = prices;
    let paths = this.#price(this.#active, price, prices.rate);
    let cost = this.#decisive(paths, only);
    let high = cost > 1 ? prices.rate : prices.rate / cost;
    let low = cost > 1 ? 0 : prices.rate;
    for (let trial = 0; trial < 8 && (low === 0 || high > low * 1.002); trial++) {
      prices.rate =
        low === 0 ? Math.max(high / Math.min(cost, 1.3), high * (1 - 0.004 * 3 ** trial)) : (low + high) / 2;
      paths = this.#price(this.#active, price, prices.rate);
      cost = this.#decisive(paths, only);
      if (cost > 1) high = prices.rate;
      else {
        low = prices.rate;
        high = Math.min(high, prices.rate / cost);
      }
    }
    if (high < prices.bestRate) {
      prices.bestRate = high;
      prices.best.set(price);
    }
    const stages = only ?? least(paths.cost);
    if (!Number.isFinite(paths.cost[stages]!)) return;
    const used = new Float64Array(this.#nodes);
    const tiling = paths.tiling(stages);
    for (const range of tiling) {
      addUse(this.#rates, range * this.#nodes, price, prices.rate, this.#density[range]!, used);
    }
    const cuts = [0, ...tiling.map((range) => this.#to[range]!)];
    this.tilings.set(cuts.join(','), cuts);
    const size = STEP_SIZE / Math.sqrt(1 + prices.step / 4);
    prices.step++;
    for (let i = 0; i < price.length; i++) {
      smoothed[i] = SMOOTHING * smoothed[i]! + (1 - SMOOTHING) * used[i]!;
      price[i]! *= Math.exp(size * Math.max(-1, Math.min(1.5, smoothed[i]! - 1)));
    }
    normalise(price);
  }

  #decisive(paths: Paths, only: number | undefined): number {
    return paths.cost[only ?? least(paths.cost)]!;
  }

  #price(ranges: Int32Array, price: Float64Array, rate: number): Paths {
    for (const range of ranges) {
      const at = range * this.#nodes;
      const total = this.#total[range]!;
      if (total < rate) this.#kappa[range] = Infinity;
      else if (this.#shape.replicasMax === 1) {
        this.#kappa[range] = leastSinglePrice(this.#rates, at, price, rate, this.#density, range);
      } else this.#kappa[range] = leastPrice(this.#rates, at, total, price, rate, this.#density, range);
    }
    this.#work += ranges.length * this.#nodes;
    return this.#cheapest(ranges);
  }

  /** Shortest paths by number of stages; the last number stands for itself and all above unless the shape forbids. */
  #cheapest(ranges: Int32Array): Paths {
    const m = this.#cuts;
    const counted = this.#stagesMax;
    const cost = new Float64Array((counted + 1) * m).fill(Infinity);
    const last = new Int32Array((counted + 1) * m).fill(-1);
    const stays = new Uint8Array(m);
    const open = this.#shape.stagesMax > counted;
    cost[0] = 0;
    for (const range of ranges) {
      const step = this.#kappa[range]!;
      if (step === Infinity) continue;
      const f = this.#from[range]!;
      const t = this.#to[range]!;
      for (let s = 1; s <= counted; s++) {
        const through = cost[(s - 1) * m + f]! + step;
        if (through >= cost[s * m + t]!) continue;
        cost[s * m + t] = through;
        last[s * m + t] = range;
        if (s === counted) stays[t] = 0;
      }
      const through = cost[counted * m + f]! + step;
      if (open && through < cost[counted * m + t]!) {
        cost[counted * m + t] = through;
        last[counted * m + t] = range;
        stays[t] = 1;
      }
    }
    const ends = new Float64Array(counted + 1).fill(Infinity);
    for (let s = Math.max(1, this.#shape.stagesMin); s <= counted; s++) ends[s] = cost[s * m + m - 1]!;
    return {
      cost: ends,
      tiling: (stages) => {
        const tiling: number[] = [];
        let s = stages;
        for (let t = m - 1; t > 0;) {
          const range = last[s * m + t]!;
          tiling.unshift(range);
          if (s < counted || stays[t] === 0) s--;
          t = this.#from[range]!;
        }
        return tiling;
      },
    };
  }
}

/** The cheapest tilings by number of stages, as ranges. */
interface Paths {
  readonly cost: Float64Array;
  tiling(stages: number): number[];
}

function pricesFrom(price: Float64Array, rate: number): Prices {
  const own = price.slice();
  normalise(own);
  return {
    price: own,
    smoothed: new Float64Array(price.length).fill(1),
    best: own.slice(),
    bestRate: Infinity,
    rate,
    step: 0,
    stalls: 0,
  };
}

function largest(values: Float64Array): number {
  let at = 0;
  for (let k = 1; k < values.length; k++) if (values[k]! > values[at]!) at = k;
  return at;
}

function least(values: Float64Array): number {
  let at = 0;
  for (let k = 1; k < values.length; k++) if (values[k]! < values[at]!) at = k;
  return at;
}

function normalise(price: Float64Array): void {
  let sum = 0;
  for (const part of price) sum += part;
  // A node that seems worthless may yet be needed; a price of 0 would never recover.
  for (let i = 0; i < price.length; i++) price[i] = Math.max(price[i]! / sum, 1e-9 / price.length);
}
