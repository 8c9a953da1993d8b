/** Fields that signaling messages of several subjects have. */
import * as z from 'zod/mini';

export const count = z.int().check(z.nonnegative());
export const text = (max: number) => z.string().check(z.maxLength(max));
