/** What shape inference knows of one GraphDef operation: its attributes and its inputs. */
import type { DType } from '@shoal/protocol';
import type { GraphNode } from './graph-def.ts';
import type { JsonRecord } from './json.ts';
import type { Shape } from './shape.ts';

/** A tensor as far as it is known without running the model. */
export interface TensorInfo {
  readonly dtype: DType | null;
  readonly shape: Shape;
  /** Elements of a small integer tensor, as those that carry shapes and axes; null for one that is not known. */
  readonly value?: readonly (number | null)[];
}

export const UNKNOWN_TENSOR: TensorInfo = { dtype: null, shape: null };

/** An operation with the inputs that are tensors (no control inputs). */
export interface Operation {
  readonly node: GraphNode;
  readonly attributes: JsonRecord;
  readonly inputs: readonly TensorInfo[];
  /** Element type by the attributes, where they tell. */
  readonly dtype: DType | null;
  /** Indices of the outputs that anyone reads. */
  readonly outputsRead: readonly number[];
}

/** Outputs of an operation, by index; those that nobody reads may be missing. */
export type InferOutputs = (operation: Operation) => readonly TensorInfo[];

/** Outputs for an operation of many, made only where they are read. */
export function outputsAt(operation: Operation, output: (index: number) => TensorInfo): readonly TensorInfo[] {
  const list: TensorInfo[] = [];
  for (const index of operation.outputsRead) list[index] = output(index);
  return list;
}

export function inputAt(operation: Operation, index: number): TensorInfo {
  return operation.inputs.at(index) ?? UNKNOWN_TENSOR;
}

export function shapeAt(operation: Operation, index: number): Shape {
  return inputAt(operation, index).shape;
}
