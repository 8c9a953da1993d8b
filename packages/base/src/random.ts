/** Chance as an argument: cores take a `Random`, adapters know the platform's source. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A fresh identifier that nobody else has made: 128 random bits, printable. */
  id(): string;
}

/**
 * A repeatable source for tests and simulation: splitmix32 (Steele, Lea, Flood 2014, 32-bit variant).
 * Not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const bits = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    next: () => bits() / 0x1_0000_0000,
    id: () => Array.from({ length: 4 }, () => bits().toString(16).padStart(8, '0')).join(''),
  };
}
