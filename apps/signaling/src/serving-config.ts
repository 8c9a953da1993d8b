/** `serving.json`, beside a model's versions: what the model's own files do not say. All of it is optional. */
import { batchingParametersSchema, MeshError, parseWith, ROUTE_STAGES_MAX, signatureSchema } from '@shoal/protocol';
import { goldenVectorSchema } from '@shoal/sharding';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';

export const servingConfigSchema = z.strictObject({
  /** Class names, in the order of the output's last axis. */
  classNames: z.optional(z.array(z.string().check(z.maxLength(256)))),
  golden: z.optional(z.array(goldenVectorSchema)),
  signatures: z.optional(z.record(z.string(), signatureSchema)),
  /** Version labels, as in TensorFlow Serving. */
  labels: z.optional(z.record(z.string(), z.int())),
  /** Whether the rows of a batch may be computed apart; found out from the signature where it is not said. */
  rowsIndependent: z.optional(z.boolean()),
  /** TensorFlow Serving's batching parameters, or false for none; what is left out is tuned from measured speed. */
  batching: z.optional(z.union([z.literal(false), batchingParametersSchema])),
  /** Whether nodes hold the model whole, or a stage each; left out, the coordinator chooses. */
  placement: z.optional(
    z.strictObject({
      mode: z.optional(z.enum(['auto', 'data', 'pipeline', 'hybrid'])),
      stages: z.optional(z.int().check(z.positive(), z.maximum(ROUTE_STAGES_MAX))),
      replicas: z.optional(z.int().check(z.positive())),
      objective: z.optional(z.enum(['throughput', 'latency'])),
    }),
  ),
});
export type ServingConfig = z.infer<typeof servingConfigSchema>;

/** @throws MeshError MODEL_INVALID that names the field */
export async function readServingConfig(modelFolder: string): Promise<ServingConfig> {
  let text: string;
  try {
    text = await readFile(join(modelFolder, 'serving.json'), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
  try {
    return parseWith(servingConfigSchema, JSON.parse(text), 'serving.json');
  } catch (error) {
    const reason = error instanceof MeshError ? error.reason : 'serving.json is not JSON';
    throw new MeshError('MODEL_INVALID', reason, { cause: error });
  }
}
