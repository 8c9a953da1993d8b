/** Which kind of input a model takes, from its signature alone: the page knows no model by name. */
import { DEFAULT_SIGNATURE, type Signature, type TensorSpec } from '@shoal/protocol';

export interface ImageInput {
  readonly kind: 'image';
  readonly inputName: string;
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
}
export interface JsonInput {
  readonly kind: 'json';
}
export type InputKind = ImageInput | JsonInput;

/** The signature that is called when none is named: `serving_default`, or the only one there is. */
export function defaultSignature(signatures: Readonly<Record<string, Signature>>): readonly [string, Signature] | null {
  const named = signatures[DEFAULT_SIGNATURE];
  if (named !== undefined) return [DEFAULT_SIGNATURE, named];
  return Object.entries(signatures)[0] ?? null;
}

// Smaller than any picture anybody would recognise: [-1, 2, 2, 1] is a grid of numbers.
const IMAGE_SIDE_MIN = 8;

/** One float32 input of shape [-1, H, W, 1 or 3] is a picture; everything else is numbers. */
export function inputKind(signature: Signature): InputKind {
  const inputs = Object.entries(signature.inputs);
  const [only] = inputs;
  if (inputs.length !== 1 || only === undefined) return { kind: 'json' };
  return imageInput(only[0], only[1]) ?? { kind: 'json' };
}

function imageInput(inputName: string, spec: TensorSpec): ImageInput | null {
  if (spec.dtype !== 'float32' || spec.shape?.length !== 4) return null;
  const [, height = 0, width = 0, channels] = spec.shape;
  if (height < IMAGE_SIDE_MIN || width < IMAGE_SIDE_MIN) return null;
  return channels === 1 || channels === 3 ? { kind: 'image', inputName, height, width, channels } : null;
}

/** Digits are drawn by hand: [-1, 28, 28, 1] is the shape of MNIST. */
export const isDrawable = (input: ImageInput): boolean =>
  input.height === 28 && input.width === 28 && input.channels === 1;
