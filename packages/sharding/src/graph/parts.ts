/**
 * What both importers give: the calls of a model as parts with the tensors that they read and make, and
 * which parts belong together. units.ts turns them into layers.
 */
import type { TensorInfo } from './graph-op.ts';

/** A node of a GraphDef or a call of a Keras layer; constants are no parts. */
export interface Part {
  readonly name: string;
  readonly op: string;
  /** Canonical names of the tensors that it reads, constants excepted, without repeats. */
  readonly reads: readonly string[];
  /** Parts that must run before it though it reads nothing of them (control inputs). */
  readonly after: readonly string[];
  /** Canonical names of its outputs that anyone reads. */
  readonly makes: readonly string[];
  /** Constant nodes that it needs, with the operations that compute on constants alone. */
  readonly constants: readonly string[];
  readonly weights: readonly string[];
  /** Operations that a backend must have for it. */
  readonly ops: readonly string[];
  /** Floating-point operations a row, guessed from shapes; null where shapes do not tell. */
  readonly flops: number | null;
}

/** Parts that must stay in one stage, and why. */
export interface Bond {
  readonly parts: readonly string[];
  readonly reason: string;
}

export interface Parts {
  readonly parts: readonly Part[];
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Canonical names of the model's inputs and of its outputs, without repeats. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly bonds: readonly Bond[];
  /** Parts that may stand in a loop, as control flow of TensorFlow 1 does. */
  readonly loops: ReadonlySet<string>;
  /** Set if no cut at all is allowed, with the reason. */
  readonly unsliceable: string | null;
}

export function unique<Value>(values: Iterable<Value>): readonly Value[] {
  return [...new Set(values)];
}

/** Adds to the list under a key, which it makes if need be. */
export function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
