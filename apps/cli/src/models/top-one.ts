import type { TensorData } from '@shoal/protocol';

/** Index of the largest element of each row of a [rows, classes] tensor; the first where several are equal. */
export function topOne({ data, shape }: TensorData): number[] {
  const [rows = 0, classes = 0] = shape;
  return Array.from({ length: rows }, (_, row) => {
    let best = 0;
    for (let i = 1; i < classes; i++) {
      if (Number(data[row * classes + i]) > Number(data[row * classes + best])) best = i;
    }
    return best;
  });
}
