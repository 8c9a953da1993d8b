/** `serving.json`, beside a model's versions: what the model's own files do not say. All of it is optional. */
import {
  batchingParametersSchema,
  MeshError,
  parseWith,
  ROUTE_STAGES_MAX,
  signatureSchema,
  versionSchema,
  VERSIONS_NAMED_MAX,
} from '@shoal/protocol';
import { POLICY_DEFAULT, versionNamed, type VersionConfig } from '@shoal/scheduling';
import { goldenVectorSchema } from '@shoal/sharding';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';

const SERVING_FILE = 'serving.json';
/** A fair measure of a classifier takes some hundreds of rows; more take time to calibrate and room on the disk. */
const RECORDED_REQUESTS_MAX = 1000;
const STICKY_HEADER_DEFAULT = 'x-shoal-sticky';

/** Labels and header names are parts of URLs and of HTTP headers. */
const labelSchema = z.string().check(z.regex(/^[A-Za-z0-9_.-]{1,128}$/));
const headerSchema = z.string().check(z.regex(/^[A-Za-z0-9-]{1,128}$/));
const fewKeys = (value: unknown): boolean => Object.keys(value as object).length <= VERSIONS_NAMED_MAX;
const few = z.refine(fewKeys, { error: `expected at most ${VERSIONS_NAMED_MAX} entries` });
const fewVersions = z.int().check(z.positive(), z.maximum(VERSIONS_NAMED_MAX));

/** Which versions are served, and what share of requests each gets: may change while the mesh runs. */
const trafficFields = {
  /** As TensorFlow Serving's `model_version_policy`: the latest n, all, or those named. */
  versionPolicy: z.optional(
    z.union([
      z.literal('all'),
      z.strictObject({ latest: fewVersions }),
      z.strictObject({
        specific: z.array(versionSchema).check(z.minLength(1), z.maxLength(VERSIONS_NAMED_MAX)),
      }),
    ]),
  ),
  /** Version labels, as in TensorFlow Serving. */
  labels: z.optional(z.record(labelSchema, versionSchema).check(few)),
  /** Shares of the requests that name neither version nor label, by label or version. */
  split: z.optional(
    z.strictObject({
      weights: z.record(labelSchema, z.number().check(z.nonnegative())).check(few),
      /** Requests with the same value of this header go to the same part. */
      stickyHeader: z.optional(headerSchema),
    }),
  ),
  /** A share of requests, in (0, 1], that are repeated on a label or version, for comparison alone. */
  shadow: z.optional(z.strictObject({ to: labelSchema, share: z.number().check(z.positive(), z.maximum(1)) })),
};
const trafficSettingsSchema = z.strictObject(trafficFields);
export type TrafficSettings = z.infer<typeof trafficSettingsSchema>;

/** What a version is: may also stand in a file of its own. */
const descriptionFields = {
  /** Class names, in the order of the output's last axis. */
  classNames: z.optional(z.array(z.string().check(z.maxLength(256)))),
  golden: z.optional(z.array(goldenVectorSchema)),
  signatures: z.optional(z.record(z.string(), signatureSchema)),
  /** Whether the rows of a batch may be computed apart; found out from the signature where it is not said. */
  rowsIndependent: z.optional(z.boolean()),
  /** TensorFlow Serving's batching parameters, or false for none; what is left out is tuned from measured speed. */
  batching: z.optional(z.union([z.literal(false), batchingParametersSchema])),
  /** What coding activations may change at the outputs where a caller says nothing: relative L2, and share of answers. */
  errorBudget: z.optional(z.number().check(z.nonnegative(), z.maximum(1))),
  /** Whether nodes hold the model whole, or a stage each; left out, the coordinator chooses. */
  placement: z.optional(
    z.strictObject({
      mode: z.optional(z.enum(['auto', 'data', 'pipeline', 'hybrid'])),
      stages: z.optional(z.int().check(z.positive(), z.maximum(ROUTE_STAGES_MAX))),
      replicas: z.optional(z.int().check(z.positive())),
      objective: z.optional(z.enum(['throughput', 'latency'])),
    }),
  ),
};
/** What is done with a model's requests besides answering them. */
const consentFields = {
  /** Inputs of so many sampled requests are kept beside the model, for `shoal model calibrate`; none unless it is said. */
  calibration: z.optional(z.strictObject({ record: z.int().check(z.positive(), z.maximum(RECORDED_REQUESTS_MAX)) })),
};
const descriptionSchema = z.strictObject(descriptionFields);
export type VersionDescription = z.infer<typeof descriptionSchema>;

export const servingConfigSchema = z.strictObject({ ...descriptionFields, ...trafficFields, ...consentFields });
export type ServingConfig = z.infer<typeof servingConfigSchema>;

/** @throws MeshError MODEL_INVALID that names the field */
export async function readServingConfig(modelFolder: string): Promise<ServingConfig> {
  const json = await readJson(modelFolder);
  return validated(() => checkNames(parseWith(servingConfigSchema, json, SERVING_FILE)));
}

/** What a version's own `serving.json` says of it. @throws MeshError MODEL_INVALID that names the field */
export async function readVersionDescription(versionFolder: string): Promise<VersionDescription> {
  const json = await readJson(versionFolder);
  return validated(() => parseWith(descriptionSchema, json, `the version's ${SERVING_FILE}`));
}

function validated<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new MeshError('MODEL_INVALID', MeshError.from(error).reason, { cause: error });
  }
}

async function readJson(modelFolder: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(join(modelFolder, SERVING_FILE), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new MeshError('MODEL_INVALID', `${SERVING_FILE} is not JSON`, { cause: error });
  }
}

/** Split and shadow name labels or versions, and a split gives something to somebody. */
function checkNames<Settings extends TrafficSettings>(settings: Settings): Settings {
  const { labels = {}, split, shadow } = settings;
  const named: [string, string][] = Object.keys(split?.weights ?? {}).map((name) => [`split.weights.${name}`, name]);
  if (shadow !== undefined) named.push(['shadow.to', shadow.to]);
  for (const [path, name] of named) {
    if (versionNamed(name, labels) === undefined) {
      throw new MeshError('BAD_INPUT', `${SERVING_FILE}: ${path}: "${name}" is neither a label nor a version`);
    }
  }
  if (split !== undefined && !Object.values(split.weights).some((weight) => weight > 0)) {
    throw new MeshError('BAD_INPUT', `${SERVING_FILE}: split.weights: all are 0, expected one above 0`);
  }
  return settings;
}

/** The settings with their defaults. */
export function versionConfigOf({ versionPolicy, labels = {}, split, shadow }: TrafficSettings): VersionConfig {
  return {
    policy: versionPolicy ?? POLICY_DEFAULT,
    labels,
    ...(split === undefined
      ? {}
      : {
          split: {
            weights: split.weights,
            stickyHeader: (split.stickyHeader ?? STICKY_HEADER_DEFAULT).toLowerCase(),
          },
        }),
    ...(shadow === undefined ? {} : { shadow }),
  };
}

/** The part of a configuration that says what a version is, of which its manifest is made. */
export function descriptionOf(config: ServingConfig): VersionDescription {
  const { versionPolicy: _, labels: __, split: ___, shadow: ____, calibration: _____, ...description } = config;
  return description;
}

/**
 * What `serving.json` would say after a change of its traffic settings: a field given takes the place of the one there,
 * `null` takes it away; labels are changed one by one.
 * @throws MeshError BAD_INPUT that names the field
 */
export async function patchedServingConfig(
  modelFolder: string,
  patch: unknown,
): Promise<{ readonly config: ServingConfig; readonly json: object }> {
  const unknown = Object.keys(Object(patch) as object).find((field) => !Object.hasOwn(trafficFields, field));
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch) || unknown !== undefined) {
    const fields = Object.keys(trafficFields).join(', ');
    throw new MeshError(
      'BAD_INPUT',
      `expected an object with ${fields}${unknown === undefined ? '' : `, not "${unknown}"`}`,
    );
  }
  const before = Object(await readJson(modelFolder)) as Readonly<Record<string, unknown>>;
  const labels = merged(before['labels'], (patch as { labels?: unknown }).labels);
  const json = Object.fromEntries(
    Object.entries({ ...before, ...patch, labels }).filter(([, value]) => value !== null && value !== undefined),
  );
  return { config: checkNames(parseWith(servingConfigSchema, json, SERVING_FILE, 'BAD_INPUT')), json };
}

/**
 * Writes it whole or not at all.
 * @throws Node's error where the folder cannot be written to
 */
export async function writeServingConfig(modelFolder: string, json: object): Promise<void> {
  const part = join(modelFolder, `.${SERVING_FILE}.part`);
  try {
    await writeFile(part, `${JSON.stringify(json, null, 2)}\n`);
    await rename(part, join(modelFolder, SERVING_FILE));
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function merged(labels: unknown, changes: unknown): unknown {
  if (changes === undefined) return labels;
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes)) return changes;
  const all = Object.entries({ ...(Object(labels) as object), ...changes });
  return Object.fromEntries(all.filter(([, version]) => version !== null));
}
