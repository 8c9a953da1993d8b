import { expect } from 'vitest';
import { readServeOptions } from '../../options.ts';
import type { Section } from '../clause.ts';
import { expectJson } from '../rest.ts';

export const startUp: Section = {
  title: 'Ports and start-up',
  clauses: [
    {
      clause: 'gRPC is on port 8500 by default',
      check: async () => expect(readServeOptions({}, {}).grpcPort).toBe(8500),
    },
    {
      clause: 'REST is off by default (`--rest_api_port=0`); the Docker image has it on port 8501',
      differs: 'always on, on port 8501 by default',
      check: async () => expect(readServeOptions({}, {}).restPort).toBe(8501),
    },
    {
      clause:
        '`--rest_api_timeout_in_ms`, `--rest_api_num_threads`, `--grpc_max_threads`, `--file_system_poll_wait_seconds`, `--max_num_load_retries`',
      notApplicable:
        'no flags: the time-out is 30 s, the default there; one event loop serves, with threads for large bodies; folders are watched',
    },
    {
      clause: '`--model_name`, `--model_base_path`: one model; `--model_config_file`: several',
      differs: '`--models <folder>` holds any number, each with its settings in its own `serving.json`',
      check: async ({ http }) => {
        const { models } = expectJson(await http('/v1/shoal/models')) as { models: { name: string }[] };
        expect(models.map(({ name }) => name)).toEqual(expect.arrayContaining(['half_plus_two', 'my_model']));
      },
    },
    {
      clause: '`--enable_model_warmup`: recorded requests run before a version serves',
      differs: 'golden vectors of `serving.json` run on every node before it serves, and must come out right',
      check: async ({ coordinator }) => {
        const model = coordinator.models().find((view) => view.model === 'my_model');
        expect(model).toMatchObject({ state: 'served' });
      },
    },
    {
      clause: '`--batching_parameters_file` without `--enable_batching` is an error',
      notApplicable: 'there is no such flag: batching is a matter of each model',
    },
    {
      clause: 'Models are TensorFlow SavedModels',
      differs: 'GraphModels and LayersModels, as the TensorFlow.js converter makes of SavedModels and Keras models',
      check: async ({ http }) => expect((await http('/v1/models/half_plus_two')).status).toBe(200),
    },
  ],
};
