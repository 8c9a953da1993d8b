import { join } from 'node:path';
import { writeFile, mkdir } from 'node:fs/promises';
import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';
import { expectStatus, floats } from '../rpc.ts';

const rows = (count: number): string => JSON.stringify({ instances: Array.from({ length: count }, (_, i) => -i) });
const absolutes = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export const batching: Section = {
  title: 'Batching',
  clauses: [
    {
      clause:
        '`--enable_batching`, off by default; parameters as text protobuf, one file for all models or `batching_params.pbtxt` in each',
      differs:
        'on for every model whose rows are independent, tuned from measured speed; parameters stand in its `serving.json`, `false` turns it off',
      check: async ({ post }) => {
        expect(expectJson(await post('half_plus_two:predict', '{"instances": [1]}'))).toEqual({ predictions: [2.5] });
      },
    },
    {
      clause:
        '`max_batch_size` and `batch_timeout_micros`: a batch goes when it is full or its first request has waited so long',
      check: async ({ post }) => {
        const timed = async (count: number): Promise<number> => {
          const startMs = performance.now();
          const replies = await Promise.all(
            Array.from({ length: count }, (_, i) => post('four_or_2_seconds:predict', `{"instances": [-${i}]}`)),
          );
          expect(replies.map(expectJson)).toEqual(absolutes(count).map((value) => ({ predictions: [value] })));
          return performance.now() - startMs;
        };
        expect(await timed(4)).toBeLessThan(1900);
        expect(await timed(1)).toBeGreaterThan(1900);
      },
    },
    {
      clause:
        'A request of more rows is INVALID_ARGUMENT (400), `Task size N is larger than maximum input batch size M`',
      check: async ({ post, grpc }) => {
        const text = 'Task size 5 is larger than maximum input batch size 4';
        expectError(await post('four_or_2_seconds:predict', rows(5)), 400, text);
        const request = { model_spec: { name: 'four_or_2_seconds' }, inputs: { x: floats([5], 1) } };
        expectStatus(await grpc('PredictionService/Predict', request), 'INVALID_ARGUMENT', text);
      },
    },
    {
      clause:
        '`max_enqueued_batches`: past it requests are UNAVAILABLE (503), `The batch scheduling queue to which this task was submitted is full`',
      check: async ({ post }) => {
        const replies = await Promise.all(Array.from({ length: 100 }, () => post('one_waiting:predict', rows(1))));
        const refused = replies.filter(({ status }) => status !== 200);
        expect(refused).not.toEqual([]);
        expect(refused.length).toBeLessThan(replies.length);
        for (const reply of refused) {
          expectError(reply, 503, /^The batch scheduling queue to which this task was submitted is full/);
          expect(reply.headers['retry-after']).toBe('1');
        }
      },
    },
    {
      clause: '`allowed_batch_sizes`: batches are filled up to the next size, and the filling is not seen',
      check: async ({ post }) => {
        for (const count of [1, 2, 3, 4]) {
          expect(expectJson(await post('two_or_four:predict', rows(count)))).toEqual({ predictions: absolutes(count) });
        }
      },
    },
    {
      clause:
        '`enable_large_batch_splitting`: a request up to `max_batch_size` runs in batches of `max_execution_batch_size`',
      check: async ({ post }) => {
        expect(expectJson(await post('split:predict', rows(8)))).toEqual({ predictions: absolutes(8) });
        expectError(await post('split:predict', rows(9)), 400, 'Task size 9 is larger than maximum input batch size 8');
      },
    },
    {
      clause:
        '`pad_variable_length_inputs`: requests of different lengths share a batch, padded to the longest with their first value; so are the answers',
      check: async ({ post }) => {
        const startMs = performance.now();
        const replies = await Promise.all(
          ['[[-1, -2]]', '[[-3, -4, -5]]'].map((instances) => post('variable:predict', `{"instances": ${instances}}`)),
        );
        expect(replies.map(expectJson)).toEqual([{ predictions: [[1, 2, 1]] }, { predictions: [[3, 4, 5]] }]);
        expect(performance.now() - startMs).toBeLessThan(1900);
      },
    },
    {
      clause:
        'Parameters that contradict each other are an error: the last of `allowed_batch_sizes` is `max_batch_size`',
      differs: 'the model is refused with the reason, the others serve',
      check: async ({ modelsFolder, http }) => {
        const folder = join(modelsFolder, 'contradiction');
        await mkdir(join(folder, '1'), { recursive: true });
        await writeFile(
          join(folder, 'serving.json'),
          '{"batching": {"max_batch_size": 8, "allowed_batch_sizes": [2, 4]}}',
        );
        await writeFile(join(folder, '1/model.json'), '{}');
        await expect
          .poll(async () => (await http('/v1/models/contradiction')).body, { timeout: 10_000 })
          .toContain('MODEL_INVALID: serving.json: batching');
        expect((await http('/v1/models/half_plus_two')).status).toBe(200);
      },
    },
    {
      clause: 'A batch holds requests of one model, version and signature only',
      check: async ({ post }) => {
        const [two, three] = await Promise.all([
          post('half_plus_two:predict', rows(2)),
          post('two_or_four:predict', rows(2)),
        ]);
        expect([two, three].map(expectJson)).toEqual([{ predictions: [2, 1.5] }, { predictions: [0, 1] }]);
      },
    },
  ],
};
