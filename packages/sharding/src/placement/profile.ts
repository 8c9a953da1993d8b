/**
 * What a model costs, layer by layer: the planner's only view of a model. It names no model, no op but as a word that
 * a backend may lack, and holds no weights. Who measured the figures is not its business.
 */

/** One layer of the chain. All figures are finite and at least 0. */
export interface LayerProfile {
  /** Milliseconds for one row on a node of speed 1. */
  readonly computeMs: number;
  /** Weights that only this layer uses. */
  readonly weightBytes: number;
  /** What running the layer takes beside the weights, at the microbatch size that will be used. */
  readonly workingBytes: number;
  /** Ops that a node's backend must have; none named means that every backend runs it. */
  readonly ops?: readonly string[];
}

/** A constant that several layers use: every stage that has any of them holds a copy. */
export interface SharedConstant {
  readonly bytes: number;
  /** Indices of layers. */
  readonly layers: readonly number[];
}

/** A chain of L layers. Cut k lies before layer k: cut 0 is the model's input, cut L its output. */
export interface ModelProfile {
  readonly name: string;
  readonly layers: readonly LayerProfile[];
  /** Length L+1: bytes that one row carries over cut k; entry 0 is the input and entry L the output of a request. */
  readonly bytesAtCut: readonly number[];
  /** Length L+1: whether a stage may end at cut k; entries 0 and L must be true. */
  readonly legal: readonly boolean[];
  readonly shared?: readonly SharedConstant[];
  /** Cuts that are not legal only because nobody knows their bytes: a survey makes them so. None where left out. */
  readonly unknownCuts?: readonly number[];
}

/** A half-open range of layers `[start, end)`. */
export interface LayerRange {
  readonly start: number;
  readonly end: number;
}

/** Throws RangeError naming the field that is wrong. */
export function checkProfile(profile: ModelProfile): void {
  const count = profile.layers.length;
  if (count === 0) throw new RangeError('layers must hold at least one layer');
  for (const [field, list] of [
    ['bytesAtCut', profile.bytesAtCut],
    ['legal', profile.legal],
  ] as const) {
    if (list.length !== count + 1) {
      throw new RangeError(`${field} has ${list.length} entries, ${count} layers need ${count + 1}`);
    }
  }
  profile.layers.forEach((layer, i) => {
    checkSize(layer.computeMs, `layers[${i}].computeMs`);
    checkSize(layer.weightBytes, `layers[${i}].weightBytes`);
    checkSize(layer.workingBytes, `layers[${i}].workingBytes`);
  });
  if (!profile.layers.some((layer) => layer.computeMs > 0))
    throw new RangeError('layers need computeMs above 0 somewhere');
  profile.bytesAtCut.forEach((bytes, k) => checkSize(bytes, `bytesAtCut[${k}]`));
  if (profile.legal[0] !== true || profile.legal[count] !== true) {
    throw new RangeError(`legal[0] and legal[${count}] must be true`);
  }
  profile.shared?.forEach((constant, i) => {
    checkSize(constant.bytes, `shared[${i}].bytes`);
    for (const layer of constant.layers) {
      if (!Number.isInteger(layer) || layer < 0 || layer >= count) {
        throw new RangeError(`shared[${i}].layers names layer ${layer}, layers are 0 to ${count - 1}`);
      }
    }
  });
}

export function checkSize(value: number, field: string): void {
  if (!Number.isFinite(value) || value < 0)
    throw new RangeError(`${field} must be finite and at least 0, got ${value}`);
}

/** What holding `range` takes: weights, copies of shared constants, and the largest working memory of its layers. */
export function stageMemoryBytes(profile: ModelProfile, range: LayerRange): number {
  let working = 0;
  for (let i = range.start; i < range.end; i++) working = Math.max(working, profile.layers[i]?.workingBytes ?? 0);
  return stageWeightBytes(profile, range) + working;
}

/** What a node downloads to hold `range`. */
export function stageWeightBytes(profile: ModelProfile, range: LayerRange): number {
  let bytes = 0;
  for (let i = range.start; i < range.end; i++) bytes += profile.layers[i]?.weightBytes ?? 0;
  for (const constant of profile.shared ?? []) if (uses(constant, range)) bytes += constant.bytes;
  return bytes;
}

/** What a node that holds `held` must still download to hold `wanted`. */
export function missingWeightBytes(profile: ModelProfile, wanted: LayerRange, held: LayerRange | undefined): number {
  if (held === undefined) return stageWeightBytes(profile, wanted);
  let bytes = 0;
  for (let i = wanted.start; i < wanted.end; i++) {
    if (i < held.start || i >= held.end) bytes += profile.layers[i]?.weightBytes ?? 0;
  }
  for (const constant of profile.shared ?? []) {
    if (uses(constant, wanted) && !uses(constant, held)) bytes += constant.bytes;
  }
  return bytes;
}

function uses(constant: SharedConstant, range: LayerRange): boolean {
  return constant.layers.some((layer) => layer >= range.start && layer < range.end);
}
