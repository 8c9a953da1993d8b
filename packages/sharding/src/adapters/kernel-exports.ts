/** What `kernels/` exports. Pointers are bytes from the memory's start. */
export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  memoryBase(): number;
  channelMaxima(values: number, count: number, channels: number, period: number, maxima: number): number;
  blockMaxima(values: number, count: number, maxima: number): number;
  quantize(
    values: number,
    count: number,
    inverses: number,
    period: number,
    levels: number,
    zero: number,
    stored: number,
  ): void;
  dequantize(stored: number, count: number, steps: number, period: number, zero: number, values: number): void;
  packBits(values: number, count: number, bits: number, packed: number): void;
  unpackBits(packed: number, count: number, bits: number, values: number): void;
  splitOutliers(
    stored: number,
    count: number,
    lowest: number,
    mark: number,
    bits: number,
    codes: number,
    outliers: number,
  ): number;
  countMarks(codes: number, count: number, mark: number): number;
  joinOutliers(codes: number, count: number, lowest: number, mark: number, bits: number, outliers: number): void;
  greatest(symbols: number, count: number): number;
  sampleArounds(
    symbols: number,
    count: number,
    left: number,
    up: number,
    shift: number,
    step: number,
    turning: number,
    sampled: number,
  ): void;
  slotSymbols(
    symbols: number,
    count: number,
    left: number,
    up: number,
    alphabet: number,
    shift: number,
    begins: number,
    ranges: number,
    slots: number,
    counts: number,
    size: number,
  ): void;
  prepareEncoder(frequencies: number, entries: number, alphabet: number, table: number): void;
  encodeRans(slots: number, count: number, table: number, end: number): number;
  prepareDecoder(frequencies: number, entries: number, alphabet: number, table: number): void;
  decodeRans(
    bytes: number,
    length: number,
    count: number,
    left: number,
    up: number,
    shift: number,
    rows: number,
    symbols: number,
  ): number;
  splitExponents(values: number, count: number, exponents: number): number;
  packRests(values: number, count: number, bits: number, sparse: boolean, rests: number): number;
  countNonZero(bytes: number, count: number): number;
  baseOf(bytes: number, count: number): number;
  lower(bytes: number, count: number, base: number): void;
  joinRests(
    exponents: number,
    count: number,
    base: number,
    bits: number,
    sparse: boolean,
    rests: number,
    values: number,
  ): void;
  paletteTableBytes(): number;
  findIndices(values: number, count: number, table: number, words: number, indices: number): number;
  rankIndices(indices: number, count: number, ranks: number): void;
  packPalette(indices: number, count: number, up: number, widths: number, planes: number): number;
  unpackPalette(widths: number, planes: number, end: number, count: number, up: number, indices: number): number;
  lookUpPalette(indices: number, count: number, words: number, values: number): number;
}
