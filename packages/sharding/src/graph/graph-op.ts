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
  /** How many of its outputs anyone reads, counted from the first. */
  readonly outputsRead: number;
}

/** Outputs of an operation, by index. */
export type InferOutputs = (operation: Operation) => readonly TensorInfo[];

export function inputAt(operation: Operation, index: number): TensorInfo {
  return operation.inputs.at(index) ?? UNKNOWN_TENSOR;
}

export function shapeAt(operation: Operation, index: number): Shape {
  return inputAt(operation, index).shape;
}
