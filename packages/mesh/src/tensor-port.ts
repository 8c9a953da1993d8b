/** How the SDK reads and makes a tensor library's tensors without knowing the library. */
import type { TensorData } from '@shoal/protocol';
import type { TensorLike } from './sdk.ts';

export interface TensorPort {
  /** A copy of a tensor's values. The caller keeps the tensor. */
  read(tensor: TensorLike): Promise<TensorData>;
  /** A new tensor; the caller disposes of it. */
  make(data: TensorData): Promise<TensorLike>;
}

export function isTensorLike(value: unknown): value is TensorLike {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<TensorLike>).data === 'function' &&
    typeof (value as Partial<TensorLike>).dispose === 'function'
  );
}

export function isTensorData(value: unknown): value is TensorData {
  return typeof value === 'object' && value !== null && 'data' in value && Array.isArray((value as TensorData).shape);
}
