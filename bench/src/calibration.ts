/** A model's codecs measured as an operator does it: `shoal model calibrate` on inputs that lie beside the model. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TensorData } from '@shoal/mesh/client';

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));

/** @param home folder of the model; its version 1 is measured, before each of these layers */
export async function calibrateModel(
  home: string,
  inputs: readonly TensorData[],
  cuts: readonly number[],
): Promise<void> {
  await mkdir(join(home, 'calibration'), { recursive: true });
  for (const [i, input] of inputs.entries()) {
    await writeFile(join(home, `calibration/${i}.json`), JSON.stringify({ instances: nested(input) }));
  }
  const args = ['--import', 'tsx', MAIN, 'model', 'calibrate', join(home, '1'), '--at', cuts.join(',')];
  await promisify(execFile)(process.execPath, args);
}

type Nested = number | readonly Nested[];

/** A tensor's values as lists in lists. */
function nested({ shape, data }: TensorData, from = 0, axis = 0): Nested {
  if (axis === shape.length) return Number(Number(data[from]).toFixed(7));
  const step = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return Array.from({ length: shape[axis] ?? 0 }, (_, i) =>
    nested({ shape, data } as TensorData, from + i * step, axis + 1),
  );
}
