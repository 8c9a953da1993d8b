/**
 * Float32 numbers as decimal text: the fewest digits that read back as the same float32, in the notation that
 * TensorFlow Serving's `WriteDecimal` (`json_tensor.cc`) chooses: C's `%g` with six digits where six suffice, with
 * nine where not, `.0` after whole numbers, bare tokens for what JSON has no number for. Where six digits do not
 * suffice TensorFlow Serving always writes nine; here they are as few as will do.
 */

const FLOAT32_NORMAL_MIN = 2 ** -126;
const DIGITS_SHORT = 6;
const DIGITS_MAX = 9;
/** Powers of ten that are exact doubles. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

export function float32Text(value: number): string {
  const size = Math.abs(value);
  if (size < 1e6 && Number.isInteger(value)) return Object.is(value, -0) ? '-0.0' : `${value}.0`;
  if (Number.isNaN(value)) return 'NaN';
  const sign = value < 0 ? '-' : '';
  if (size === Number.POSITIVE_INFINITY) return `${sign}Infinity`;
  return sign + (shortestNear(size) ?? shortest(size));
}

/** For numbers near enough to one that a power of ten scales them exactly; null where that, or six digits, is unsure. */
function shortestNear(size: number): string | null {
  const exponent = decimalExponent(size);
  if (exponent < DIGITS_MAX - 1 - 22 || exponent > 22) return null;
  for (let digits = DIGITS_SHORT; digits <= DIGITS_MAX; digits++) {
    const scale = digits - 1 - exponent;
    const nearest = Math.round(scale >= 0 ? size * power(scale) : size / power(-scale));
    if (readsBack(nearest, scale, size)) return layOut(nearest, scale);
    if (isPowerOfTwo(size) && readsBack(nearest + 1, scale, size)) return layOut(nearest + 1, scale);
  }
  return null;
}

/** For all numbers, among them the smallest, which are told apart by less than six digits. */
function shortest(size: number): string {
  for (let digits = size < FLOAT32_NORMAL_MIN ? 1 : DIGITS_SHORT; ; digits++) {
    const [mantissa = '', exponent = ''] = size.toExponential(digits - 1).split('e');
    const nearest = Number(mantissa.replace('.', ''));
    const scale = digits - 1 - Number(exponent);
    for (const candidate of isPowerOfTwo(size) ? [nearest, nearest + 1] : [nearest]) {
      if (Math.fround(Number(`${candidate}e${-scale}`)) === size) return layOut(candidate, scale);
    }
  }
}

const power = (exponent: number): number => POWERS[exponent] as number;

/** Whether `digits / 10^scale` is `size` to a float32. One operation on two exact doubles: correctly rounded. */
function readsBack(digits: number, scale: number, size: number): boolean {
  return Math.fround(scale >= 0 ? digits / power(scale) : digits * power(-scale)) === size;
}

/** The gap above a power of two is twice the one below: the nearest decimal may lie outside while the next one up is in. */
function isPowerOfTwo(size: number): boolean {
  scratch[0] = size;
  return ((scratchBits[0] as number) & 0x7fffff) === 0;
}

/** The `e` for which `10^e <= size < 10^(e + 1)`. */
function decimalExponent(size: number): number {
  const guess = Math.floor(Math.log10(size));
  if (guess < -22 || guess > 21) return guess;
  if (size >= tenTo(guess + 1)) return guess + 1;
  return size < tenTo(guess) ? guess - 1 : guess;
}

const tenTo = (exponent: number): number => (exponent < 0 ? 1 / power(-exponent) : power(exponent));

/** `digits / 10^scale` in C's `%g`: scientific from 10^-5 down, and from where its digits end up. */
function layOut(digits: number, scale: number): string {
  let trimmed = digits;
  let trimmedScale = scale;
  while (trimmed % 10 === 0) {
    trimmed /= 10;
    trimmedScale--;
  }
  const text = String(trimmed);
  const exponent = text.length - 1 - trimmedScale;
  const precision = text.length <= DIGITS_SHORT ? DIGITS_SHORT : DIGITS_MAX;
  if (exponent < -4 || exponent >= precision) {
    const fraction = text.length > 1 ? `.${text.slice(1)}` : '';
    const exponentText = String(Math.abs(exponent)).padStart(2, '0');
    return `${text.charAt(0)}${fraction}e${exponent < 0 ? '-' : '+'}${exponentText}`;
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${text}`;
  if (trimmedScale <= 0) return `${text}${'0'.repeat(-trimmedScale)}.0`;
  return `${text.slice(0, exponent + 1)}.${text.slice(exponent + 1)}`;
}
