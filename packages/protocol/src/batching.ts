/**
 * TensorFlow Serving's batching parameters (`BatchingParameters` of session_bundle_config.proto), under its own names,
 * so that what is known of them holds: https://www.tensorflow.org/tfx/serving/serving_config#batching_configuration
 */
import * as z from 'zod/mini';

const positive = z.int().check(z.positive());

export const batchingParametersSchema = z
  .strictObject({
    /** Most rows of a batch; with splitting: of a request. */
    max_batch_size: z.optional(positive),
    /** Longest wait for company, counted from a batch's first request. */
    batch_timeout_micros: z.optional(z.int().check(z.nonnegative())),
    /** Batches that may wait; requests for more are refused. */
    max_enqueued_batches: z.optional(positive),
    /** Batches under way at once. */
    num_batch_threads: z.optional(positive),
    /** Names the queue in the metrics. */
    thread_pool_name: z.optional(z.string().check(z.minLength(1), z.maxLength(64))),
    /** Sizes that batches are padded to. */
    allowed_batch_sizes: z.optional(z.array(positive).check(z.minLength(1), z.maxLength(64))),
    /** Whether requests whose dimensions after the first differ are padded to the longest and share a batch. */
    pad_variable_length_inputs: z.optional(z.boolean()),
    /** Whether a request larger than `max_execution_batch_size` is spread over batches. */
    enable_large_batch_splitting: z.optional(z.boolean()),
    /** Most rows of a batch, with splitting. */
    max_execution_batch_size: z.optional(positive),
  })
  .check(({ value, issues }) => {
    const bad = (field: string, message: string): void =>
      void issues.push({ code: 'custom', input: value, path: [field], message });
    const { max_batch_size: input, max_execution_batch_size: execution, allowed_batch_sizes: allowed } = value;
    const splits = value.enable_large_batch_splitting === true;
    if (execution !== undefined && !splits) {
      bad('max_execution_batch_size', 'needs enable_large_batch_splitting');
    } else if (execution !== undefined && input !== undefined && execution > input) {
      bad('max_execution_batch_size', `is ${execution}, limit max_batch_size, which is ${input}`);
    }
    if (allowed === undefined) return;
    if (allowed.some((rows, i) => i > 0 && rows <= (allowed[i - 1] ?? 0))) {
      bad('allowed_batch_sizes', 'expected in increasing order');
    }
    const last = (splits ? execution : undefined) ?? input;
    if (last !== undefined && allowed.at(-1) !== last) {
      const name = splits && execution !== undefined ? 'max_execution_batch_size' : 'max_batch_size';
      bad('allowed_batch_sizes', `the last is ${allowed.at(-1)}, expected ${name}, which is ${last}`);
    }
  });
export type BatchingParameters = z.infer<typeof batchingParametersSchema>;
