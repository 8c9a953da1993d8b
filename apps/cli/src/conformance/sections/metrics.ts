import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectOk, floats } from '../rpc.ts';

const PATH = '/monitoring/prometheus/metrics';

export const metrics: Section = {
  title: 'Prometheus',
  clauses: [
    {
      clause: 'Off by default; `--monitoring_config_file` gives the path, by default `/monitoring/prometheus/metrics`',
      differs: 'always on, at that path',
      check: async ({ http }) => expect((await http(PATH)).status).toBe(200),
    },
    {
      clause: 'On the REST port, as `text/plain`, with `# TYPE` lines and no help',
      check: async ({ http }) => {
        const { headers, body } = await http(PATH);
        expect(headers['content-type']).toBe('text/plain');
        expect(body).toContain('# TYPE :tensorflow:serving:request_count counter\n');
        expect(body).not.toContain('# HELP :tensorflow');
      },
    },
    {
      clause: '`:tensorflow:serving:request_count{model_name,status}` counts requests of both APIs by gRPC status',
      check: async ({ http, post, grpc }) => {
        const count = async (status: string): Promise<number> =>
          valueOf(
            (await http(PATH)).body,
            `:tensorflow:serving:request_count{model_name="my_model",status="${status}"}`,
          );
        const [ok, invalid] = [await count('OK'), await count('INVALID_ARGUMENT')];
        await post('my_model:predict', '{"instances": [[1, 2, 3]]}');
        await post('my_model:predict', '{"instances": ["x"]}');
        const inputs = { input: floats([1, 3], 1, 2, 3) };
        expectOk(await grpc('PredictionService/Predict', { model_spec: { name: 'my_model' }, inputs }));
        expect([await count('OK'), await count('INVALID_ARGUMENT')]).toEqual([ok + 2, invalid + 1]);
      },
    },
    {
      clause:
        '`:tensorflow:serving:request_latency{model_name,API,entrypoint}`: µs of successes, buckets 10 × 1.8^i, 33 of them',
      check: async ({ http, post, grpc }) => {
        await post('my_model:predict', '{"instances": [[1, 2, 3]]}');
        const inputs = { input: floats([1, 3], 1, 2, 3) };
        expectOk(await grpc('PredictionService/Predict', { model_spec: { name: 'my_model' }, inputs }));
        const { body } = await http(PATH);
        for (const labels of ['API="predict",entrypoint="REST"', 'API="Predict",entrypoint="GRPC"']) {
          const series = `model_name="my_model",${labels}`;
          expect(valueOf(body, `:tensorflow:serving:request_latency_count{${series}}`)).toBeGreaterThan(0);
          const bounds = body
            .split('\n')
            .filter((line) => line.includes('request_latency_bucket') && line.includes(series));
          expect(bounds).toHaveLength(34);
          expect(bounds.slice(0, 2).join()).toMatch(/le="10".*le="18"/);
        }
      },
    },
    {
      clause:
        '`:tensorflow:serving:runtime_latency`, `request_example_counts`, `request_example_count_total`, `batching_session:queuing_latency`',
      check: async ({ http }) => {
        const { body } = await http(PATH);
        for (const name of [
          'runtime_latency histogram',
          'request_example_counts histogram',
          'request_example_count_total counter',
          'batching_session:queuing_latency histogram',
        ]) {
          expect(body).toContain(`# TYPE :tensorflow:serving:${name}\n`);
        }
      },
    },
    {
      clause: '`:tensorflow:serving:request_log_count`, `:tensorflow:serving:model_warmup_latency`',
      notApplicable: 'there is no request log, and nodes warm up in their self-test',
    },
  ],
};

/** 0 for a series that has not begun. */
function valueOf(text: string, series: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return Number(line?.slice(series.length) ?? 0);
}
