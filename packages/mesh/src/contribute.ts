/** What `contribute()` is told, checked. */
import { MeshError } from '@shoal/protocol';
import type { ContributeOptions } from './sdk.ts';

const MEMORY_BYTES_MIN = 1024 * 1024;

/** @throws MeshError BAD_INPUT that names the option and its limit */
export function checkContribution({ power = 1, memoryBytesMax }: ContributeOptions): void {
  if (!(power > 0 && power <= 1)) throw new MeshError('BAD_INPUT', `power is ${power}, limit above 0 to 1`);
  if (memoryBytesMax !== undefined && !(memoryBytesMax >= MEMORY_BYTES_MIN)) {
    throw new MeshError('BAD_INPUT', `memoryBytesMax is ${memoryBytesMax}, limit at least ${MEMORY_BYTES_MIN}`);
  }
}
