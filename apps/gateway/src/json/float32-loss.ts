/** Which JSON numbers a float32 cannot hold, by `IsLosslessDecimal` of TensorFlow Serving's `json_tensor.cc`. */
import type { JsonReader } from './json-reader.ts';

const FLOAT32_MAX = 3.4028234663852886e38;
/** Integers up to this size are all exact float32s. */
const INTEGER_MAX = 2 ** 24;
/** From this on rapidjson holds an integer as a double, and TensorFlow Serving lets it lose digits. */
const UINT64_END = 2 ** 64;

/**
 * Whether `value`, read last, is finite but out of range, or an integer that would become another one. TensorFlow
 * Serving refuses every integer above 2^24; here those that a float32 holds exactly pass, such as 30000000, which
 * is how JavaScript prints the float 3e7.
 */
export function isLossy(reader: JsonReader, value: number): boolean {
  const size = Math.abs(value);
  if (size > FLOAT32_MAX && size !== Number.POSITIVE_INFINITY) return true;
  if (!reader.isInteger || size <= INTEGER_MAX || size >= UINT64_END) return false;
  return BigInt(reader.numberText()) !== BigInt(Math.fround(value));
}

export const lossText = (reader: JsonReader): string =>
  `Cannot convert JSON value: ${reader.numberText()} to float without loss of precision.`;
