/**
 * A hand-drawn digit as MNIST has it: scaled into 20x20 with its aspect kept, then placed in 28x28 so that its centre
 * of mass is in the middle (LeCun, Cortes, Burges: "The MNIST database of handwritten digits").
 */

export const DIGIT_SIDE = 28;
const BOX_SIDE = 20;
/** Fainter than this is not ink. */
const INK_MIN = 0.1;

/** Ink of a square or oblong drawing in [0, 1], row-major. */
export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly ink: Float32Array;
}

interface Box {
  readonly left: number;
  readonly top: number;
  /** Exclusive. */
  readonly right: number;
  readonly bottom: number;
}

/** 28x28 ink, row-major; all zero for an empty drawing. */
export function centreDigit(drawing: Drawing): Float32Array {
  const digit = new Float32Array(DIGIT_SIDE * DIGIT_SIDE);
  const box = inkBox(drawing);
  if (box === null) return digit;
  const scale = BOX_SIDE / Math.max(box.right - box.left, box.bottom - box.top);
  const width = Math.max(1, Math.round((box.right - box.left) * scale));
  const height = Math.max(1, Math.round((box.bottom - box.top) * scale));
  const small = shrink(drawing, box, width, height);
  const centre = centreOfMass(small, width, height);
  const left = clamp(Math.round(DIGIT_SIDE / 2 - centre.x), 0, DIGIT_SIDE - width);
  const top = clamp(Math.round(DIGIT_SIDE / 2 - centre.y), 0, DIGIT_SIDE - height);
  for (let y = 0; y < height; y += 1) {
    digit.set(small.subarray(y * width, (y + 1) * width), (top + y) * DIGIT_SIDE + left);
  }
  return digit;
}

export const isBlank = (drawing: Drawing): boolean => inkBox(drawing) === null;

function inkBox({ width, height, ink }: Drawing): Box | null {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if ((ink[y * width + x] ?? 0) < INK_MIN) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  }
  return right === 0 ? null : { left, top, right, bottom };
}

/** Each small pixel is the mean of the pixels it covers. */
function shrink(drawing: Drawing, box: Box, width: number, height: number): Float32Array {
  const small = new Float32Array(width * height);
  const stepX = (box.right - box.left) / width;
  const stepY = (box.bottom - box.top) / height;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      small[y * width + x] = mean(drawing, {
        left: Math.floor(box.left + x * stepX),
        right: Math.max(Math.floor(box.left + x * stepX) + 1, Math.floor(box.left + (x + 1) * stepX)),
        top: Math.floor(box.top + y * stepY),
        bottom: Math.max(Math.floor(box.top + y * stepY) + 1, Math.floor(box.top + (y + 1) * stepY)),
      });
    }
  }
  return small;
}

function mean({ width, ink }: Drawing, box: Box): number {
  let sum = 0;
  for (let y = box.top; y < box.bottom; y += 1) {
    for (let x = box.left; x < box.right; x += 1) sum += ink[y * width + x] ?? 0;
  }
  return sum / ((box.right - box.left) * (box.bottom - box.top));
}

function centreOfMass(ink: Float32Array, width: number, height: number): { x: number; y: number } {
  let [sum, sumX, sumY] = [0, 0, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const value = ink[y * width + x] ?? 0;
      sum += value;
      sumX += value * (x + 0.5);
      sumY += value * (y + 0.5);
    }
  }
  return { x: sumX / sum, y: sumY / sum };
}

const clamp = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value));
