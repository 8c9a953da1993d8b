/** Which part of a split a request goes to: the same for the same key, in proportion to the weights over many keys. */

export interface SplitPart {
  /** A label, or a version in digits. */
  readonly name: string;
  /** Above 0. */
  readonly weight: number;
}

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by logarithms after Schindelhauer and Schomaker 2005): each part draws an
 * exponential variate of its weight from the hash of its name and the key, and the smallest wins. A weight that changes
 * moves no more keys than it must, and a part that comes or goes moves only its own.
 */
export function choosePart<Part extends SplitPart>(parts: readonly Part[], key: string): Part | undefined {
  let least = Number.POSITIVE_INFINITY;
  let chosen: Part | undefined;
  for (const part of parts) {
    const score = -Math.log(uniformOf(`${part.name}\0${key}`)) / part.weight;
    if (score >= least) continue;
    least = score;
    chosen = part;
  }
  return chosen;
}

/** In (0, 1): FNV-1a over UTF-16 code units, mixed by the finalizer of MurmurHash3, both 32 bits. Not for secrets. */
function uniformOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
