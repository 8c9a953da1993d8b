/**
 * The `weightsManifest` of a tfjs model.json: which weights the model has and where their bytes lie.
 * Weights follow one another without padding through the concatenation of all groups' files, in manifest
 * order; that is how tfjs 4.22 reads them (`tfjs-core/src/io/io_utils.ts`, `decodeWeights`).
 */
import { DTYPES, elementCount, type DType } from '@shoal/protocol';
import type { StoredWeight } from '../manifest.ts';
import { asArray, asInteger, asName, asRecord, asString, property } from './json.ts';
import {
  CONSTANT_VALUES_MAX,
  DIMENSION_MAX,
  MODEL_BYTES_MAX,
  PATH_CHARS_MAX,
  RANK_MAX,
  WEIGHT_BYTES_MAX,
  WEIGHT_FILES_MAX,
  WEIGHTS_MAX,
} from './limits.ts';
import { ModelError } from './model-error.ts';

export interface WeightsManifest {
  /** File names in the order of their concatenation. */
  readonly files: readonly string[];
  /** The model's own weights; those of a saved optimizer are left out, but still take up room in the files. */
  readonly weights: readonly StoredWeight[];
  /** Bytes that the files hold together. */
  readonly fileBytes: number;
}

/** Reads `length` bytes at `offset` of the concatenated weight files. */
export type ReadWeightBytes = (offset: number, length: number) => Uint8Array;

/** Bytes of an element as stored; string elements have no fixed size. */
export const STORED_BYTES: Readonly<Record<Exclude<DType, 'string'> | 'uint8' | 'uint16' | 'float16', number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  uint8: 1,
  uint16: 2,
  float16: 2,
};

/** Bytes of an element once loaded: WebGPU holds every element type in four bytes. */
const LOADED_ELEMENT_BYTES = 4;

/** A plain file name of the version's folder: no separators, no drive, no escapes, no hidden file. */
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@+=, -]*$/;

/**
 * Reads a manifest; `manifest` may be absent for a model without weights.
 * Weights of dtype string carry their lengths inside the files, so `readBytes` is needed for them alone.
 */
export function readWeightsManifest(manifest: unknown, readBytes: ReadWeightBytes | undefined): WeightsManifest {
  const files: string[] = [];
  const weights: StoredWeight[] = [];
  const fileNames = new Set<string>();
  const weightNames = new Set<string>();
  let offset = 0;
  let entries = 0;
  const groups = manifest === undefined ? [] : asArray(manifest, 'weightsManifest', WEIGHTS_MAX);
  for (const [g, groupValue] of groups.entries()) {
    const groupField = `weightsManifest[${g}]`;
    const group = asRecord(groupValue, groupField);
    for (const [p, pathValue] of asArray(property(group, 'paths'), `${groupField}.paths`, WEIGHT_FILES_MAX).entries()) {
      const path = weightFileName(pathValue, `${groupField}.paths[${p}]`);
      if (fileNames.has(path))
        throw new ModelError('bad-path', `${groupField}.paths[${p}]`, `"${path}" is listed twice`);
      fileNames.add(path);
      files.push(path);
    }
    if (files.length > WEIGHT_FILES_MAX) {
      throw new ModelError('too-large', 'weightsManifest', `more than ${WEIGHT_FILES_MAX} files`);
    }
    for (const [w, entry] of asArray(property(group, 'weights'), `${groupField}.weights`, WEIGHTS_MAX).entries()) {
      const field = `${groupField}.weights[${w}]`;
      entries += 1;
      if (entries > WEIGHTS_MAX)
        throw new ModelError('too-large', 'weightsManifest', `more than ${WEIGHTS_MAX} weights`);
      const weight = readWeight(asRecord(entry, field), field, offset, readBytes);
      offset += weight.bytes;
      if (offset > MODEL_BYTES_MAX)
        throw new ModelError('too-large', field, `more than ${MODEL_BYTES_MAX} bytes of weights`);
      if (property(asRecord(entry, field), 'group') === 'optimizer') continue;
      if (weightNames.has(weight.name))
        throw new ModelError('bad-name', `${field}.name`, `"${weight.name}" is listed twice`);
      weightNames.add(weight.name);
      weights.push(weight);
    }
  }
  if (offset > 0 && files.length === 0) throw new ModelError('missing', 'weightsManifest', 'weights without files');
  return { files, weights, fileBytes: offset };
}

/** Elements of int32 weights that are small enough to be shapes, axes or paddings, by weight name. */
export function readConstants(
  weights: readonly StoredWeight[],
  readBytes: ReadWeightBytes | undefined,
): ReadonlyMap<string, readonly number[]> {
  const constants = new Map<string, readonly number[]>();
  for (const { name, dtype, shape, offset, bytes, quantization } of readBytes === undefined ? [] : weights) {
    if (dtype !== 'int32' || quantization !== undefined || elementCount(shape) > CONSTANT_VALUES_MAX) continue;
    const stored = readBytes?.(offset, bytes);
    if (stored?.length !== bytes) throw new ModelError('weight-bytes', `weight "${name}"`, 'the files end inside it');
    const view = new DataView(stored.buffer, stored.byteOffset, bytes);
    constants.set(
      name,
      Array.from({ length: bytes / 4 }, (_, i) => view.getInt32(i * 4, true)),
    );
  }
  return constants;
}

/** Bytes that a weight takes in memory once expanded to float32, int32 or one word a bool. */
export function loadedBytes(weight: StoredWeight): number {
  return weight.dtype === 'string' ? weight.bytes : elementCount(weight.shape) * LOADED_ELEMENT_BYTES;
}

/** Where a weight file begins in the concatenation. */
export interface WeightFile {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Lays files of known size end to end.
 * @throws ModelError `missing` for a file without a size, `weight-bytes` if they do not hold `fileBytes` together.
 */
export function weightFileExtents(
  files: readonly string[],
  fileBytes: number,
  bytesByPath: ReadonlyMap<string, number>,
): readonly WeightFile[] {
  const extents: WeightFile[] = [];
  let offset = 0;
  for (const path of files) {
    const bytes = bytesByPath.get(path);
    if (bytes === undefined) throw new ModelError('missing', 'weightsManifest.paths', `no file "${path}"`);
    extents.push({ path, offset, bytes });
    offset += bytes;
  }
  if (offset !== fileBytes) {
    throw new ModelError(
      'weight-bytes',
      'weightsManifest',
      `the files hold ${offset} bytes, the weights need ${fileBytes}`,
    );
  }
  return extents;
}

function weightFileName(value: unknown, field: string): string {
  const path = asString(value, field);
  if (path.length > PATH_CHARS_MAX) {
    throw new ModelError('too-large', field, `a path of ${path.length} characters, at most ${PATH_CHARS_MAX}`);
  }
  if (!FILE_NAME.test(path)) throw new ModelError('bad-path', field, `"${path}" is not a plain file name`);
  return path;
}

function readWeight(
  entry: ReturnType<typeof asRecord>,
  field: string,
  offset: number,
  readBytes: ReadWeightBytes | undefined,
): StoredWeight {
  const name = asName(property(entry, 'name'), `${field}.name`);
  const shape = readDimensions(property(entry, 'shape'), `${field}.shape`);
  const dtypeName = asString(property(entry, 'dtype') ?? 'float32', `${field}.dtype`);
  const dtype = DTYPES.find((known) => known === dtypeName);
  if (dtype === undefined) throw new ModelError('unsupported', `${field}.dtype`, `weights of dtype ${dtypeName}`);
  const quantization = readQuantization(property(entry, 'quantization'), dtype, shape, `${field}.quantization`);
  const elements = elementCount(shape);
  if (elements * LOADED_ELEMENT_BYTES > WEIGHT_BYTES_MAX) {
    throw new ModelError(
      'too-large',
      `${field}.shape`,
      `[${shape.join(', ')}] takes more than ${WEIGHT_BYTES_MAX} bytes`,
    );
  }
  const bytes =
    dtype === 'string'
      ? stringWeightBytes(elements, offset, field, readBytes)
      : elements * STORED_BYTES[quantization?.dtype ?? dtype];
  return { name, dtype, shape, offset, bytes, ...(quantization ? { quantization } : {}) };
}

function readDimensions(value: unknown, field: string): readonly number[] {
  return asArray(value, field, RANK_MAX).map((size, axis) => asInteger(size, `${field}[${axis}]`, 0, DIMENSION_MAX));
}

function readQuantization(
  value: unknown,
  dtype: DType,
  shape: readonly number[],
  field: string,
): StoredWeight['quantization'] {
  if (value === undefined) return undefined;
  const record = asRecord(value, field);
  const stored = asString(property(record, 'dtype'), `${field}.dtype`);
  if (stored === 'float16') {
    if (dtype !== 'float32') throw new ModelError('unsupported', field, `float16 for a weight of dtype ${dtype}`);
    return { dtype: stored };
  }
  if (stored !== 'uint8' && stored !== 'uint16') {
    throw new ModelError('unsupported', `${field}.dtype`, `"${stored}" is none of uint8, uint16, float16`);
  }
  if (dtype !== 'float32' && dtype !== 'int32') {
    throw new ModelError('unsupported', field, `${stored} for a weight of dtype ${dtype}`);
  }
  const axisValue = property(record, 'axis');
  if (axisValue === undefined) {
    const scale = finiteNumber(property(record, 'scale'), `${field}.scale`);
    return { dtype: stored, scale, min: finiteNumber(property(record, 'min'), `${field}.min`) };
  }
  if (dtype !== 'float32')
    throw new ModelError('unsupported', `${field}.axis`, `channels of a weight of dtype ${dtype}`);
  const axis = asInteger(axisValue, `${field}.axis`, 0, shape.length - 1);
  const perChannel = (name: 'scale' | 'zeroPoint'): readonly number[] => {
    const values = asArray(property(record, name), `${field}.${name}`, DIMENSION_MAX);
    if (values.length === shape[axis]) return values.map((item, i) => finiteNumber(item, `${field}.${name}[${i}]`));
    throw new ModelError('malformed', `${field}.${name}`, `${values.length} numbers, axis ${axis} has ${shape[axis]}`);
  };
  return { dtype: stored, axis, scale: perChannel('scale'), zeroPoint: perChannel('zeroPoint') };
}

function finiteNumber(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new ModelError('malformed', field, 'expected a number');
  return value;
}

/** Each string is preceded by its length as a little-endian uint32. */
function stringWeightBytes(
  elements: number,
  offset: number,
  field: string,
  readBytes: ReadWeightBytes | undefined,
): number {
  if (elements === 0) return 0;
  if (readBytes === undefined) {
    throw new ModelError('unsupported', field, 'a weight of strings cannot be measured without the weight files');
  }
  let bytes = 0;
  for (let i = 0; i < elements; i += 1) {
    const header = readBytes(offset + bytes, 4);
    if (header.length !== 4) throw new ModelError('weight-bytes', field, `the files end inside string ${i}`);
    bytes += 4 + new DataView(header.buffer, header.byteOffset, 4).getUint32(0, true);
    if (bytes > WEIGHT_BYTES_MAX) throw new ModelError('too-large', field, `more than ${WEIGHT_BYTES_MAX} bytes`);
  }
  return bytes;
}
