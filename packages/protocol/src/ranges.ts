/** Which bytes of a message have come: half-open ranges, ascending, apart from each other. */
export class Ranges {
  /** start, end, start, end, …: ranges that touch are joined, so that bytes in order take two numbers. */
  readonly #bounds: number[] = [];

  /**
   * Adds `[start, end)`.
   * @returns `known` where all of it was there before, `overlap` where a part of it was; nothing is added then
   */
  add(start: number, end: number): 'added' | 'known' | 'overlap' {
    const bounds = this.#bounds;
    const at = this.#firstEndingFrom(start);
    const joinsLeft = bounds[at + 1] === start;
    const right = joinsLeft ? at + 2 : at;
    const rightStart = bounds[right] ?? Number.POSITIVE_INFINITY;
    const rightEnd = bounds[right + 1] ?? Number.POSITIVE_INFINITY;
    if (rightStart <= start && end <= rightEnd) return 'known';
    if (rightStart < end) return 'overlap';
    if (joinsLeft && rightStart === end) bounds.splice(at + 1, 2);
    else if (joinsLeft) bounds[at + 1] = end;
    else if (rightStart === end) bounds[right] = start;
    else bounds.splice(at, 0, start, end);
    return 'added';
  }

  /** Where the first range that ends at or after `position` lies in the bounds. */
  #firstEndingFrom(position: number): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#bounds[2 * middle + 1] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return 2 * low;
  }
}
