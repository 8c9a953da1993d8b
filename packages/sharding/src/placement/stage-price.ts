/**
 * What a stage costs at node prices: the fractional knapsack of the tiling bound,
 *   κ_T = min Σ π_i y_i  s.t.  Σ rate_i y_i >= T,  0 <= y_i <= 1.
 */

/** Relative error that κ may have; it is always from below. */
const PRECISION = 3e-4;
/** The first guess is rarely further off than this; further probes go in growing steps. */
const PROBE = 1.03;

/**
 * A lower bound on κ, near it: the concave function μ T - Σ max(0, μ rate_i - π_i) maximised over μ, by bracketing its
 * top from the μ found last time on and intersecting tangents. Writes the μ to `density[range]`. `total` is Σ rate_i >= T.
 */
export function leastPrice(
  rates: Float64Array,
  at: number,
  total: number,
  price: Float64Array,
  rate: number,
  density: Float64Array,
  range: number,
): number {
  const n = price.length;
  let low = 0;
  let lowValue = 0;
  let lowSlope = rate;
  let high = Infinity;
  let highValue = 0;
  let highSlope = 0;
  let best = 0;
  let bestAt = 0;
  let probe = PROBE;
  // Prices sum to 1, so this is what rates of this range cost on average.
  let mu = density[range]! > 0 ? density[range]! : 1 / total;
  for (let trial = 0; trial < 16; trial++) {
    let value = mu * rate;
    let slope = rate;
    for (let i = 0; i < n; i++) {
      // Without a branch, which would be mispredicted half the time and make this loop six times slower.
      const gain = mu * rates[at + i]! - price[i]!;
      const taken = +(gain > 0);
      value -= taken * gain;
      slope -= taken * rates[at + i]!;
    }
    if (value > best) {
      best = value;
      bestAt = mu;
    }
    if (slope > 0) {
      low = mu;
      lowValue = value;
      lowSlope = slope;
    } else {
      high = mu;
      highValue = value;
      highSlope = slope;
    }
    if (slope === 0 || (slope > 0 && slope < 1e-12 * rate)) break;
    if (high === Infinity || low === 0) {
      mu = high === Infinity ? mu * probe : mu / probe;
      probe **= 3;
      continue;
    }
    mu = (highValue - highSlope * high - lowValue + lowSlope * low) / (lowSlope - highSlope);
    if (lowValue + lowSlope * (mu - low) <= best * (1 + PRECISION)) break;
  }
  density[range] = bestAt;
  return best;
}

/** κ where one node has to pass the whole rate. */
export function leastSinglePrice(
  rates: Float64Array,
  at: number,
  price: Float64Array,
  rate: number,
  density: Float64Array,
  range: number,
): number {
  let least = Infinity;
  for (let i = 0; i < price.length; i++) if (rates[at + i]! >= rate && price[i]! < least) least = price[i]!;
  density[range] = least / rate;
  return least;
}

/** Adds to `used` what of each node the cheapest way to pass `rate` takes, when nodes up to density μ are taken. */
export function addUse(
  rates: Float64Array,
  at: number,
  price: Float64Array,
  rate: number,
  mu: number,
  used: Float64Array,
): void {
  let whole = 0;
  let marginal = 0;
  for (let i = 0; i < price.length; i++) {
    const side = sideOf(mu * rates[at + i]!, price[i]!);
    if (side > 0) whole += rates[at + i]!;
    else if (side === 0) marginal += rates[at + i]!;
  }
  const part = marginal > 0 ? Math.max(0, Math.min(1, (rate - whole) / marginal)) : 0;
  for (let i = 0; i < price.length; i++) {
    const side = sideOf(mu * rates[at + i]!, price[i]!);
    if (side >= 0) used[i]! += side > 0 ? 1 : part;
  }
}

function sideOf(worth: number, price: number): number {
  if (worth === 0) return -1;
  const difference = worth - price;
  return difference > 1e-9 * price ? 1 : difference >= -1e-9 * price ? 0 : -1;
}
