/**
 * What is wrong with a model, as a closed list. A model file comes from strangers: every reader in this
 * room refuses it with one of these, and with nothing else.
 */
export type ModelErrorCode =
  /** A value has the wrong type or form. */
  | 'malformed'
  /** A documented bound is passed (see limits.ts). */
  | 'too-large'
  /** A name that is empty, duplicated or that a plain JavaScript object already has, such as `__proto__`. */
  | 'bad-name'
  /** A weight file's path that is not a plain file name. */
  | 'bad-path'
  /** A reference to a node, layer, weight or tensor that is not there. */
  | 'missing'
  /** The graph has a loop. */
  | 'cyclic'
  /** Well formed, but a kind of model that cannot be served or cut here. */
  | 'unsupported'
  /** The weight files do not hold the bytes that the weights need. */
  | 'weight-bytes';

/** A model that is refused. `field` is the path of the offending value inside the model's JSON. */
export class ModelError extends Error {
  readonly code: ModelErrorCode;
  readonly field: string;

  constructor(code: ModelErrorCode, field: string, detail: string) {
    super(`${code}: ${field}: ${detail}`);
    this.name = 'ModelError';
    this.code = code;
    this.field = field;
  }
}
