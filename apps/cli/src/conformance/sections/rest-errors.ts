import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError } from '../rest.ts';

const ONE = '{"instances": [1.0]}';

export const restErrors: Section = {
  title: 'REST: errors',
  clauses: [
    {
      clause: 'The body is always `{"error": "<message>"}`, pretty-printed',
      check: async ({ post }) => {
        const { body } = await post('half_plus_two:predict', 'no JSON');
        expect(body).toMatch(/^\{\n {4}"error": "JSON Parse error: [^\n]*"\n\}$/);
      },
    },
    {
      clause: 'An unknown model is 404, `Servable not found for request: Latest(M)`',
      check: async ({ post }) =>
        expectError(await post('half:predict', ONE), 404, 'Servable not found for request: Latest(half)'),
    },
    {
      clause: 'An unknown version is 404, `Servable not found for request: Specific(M, V)`',
      check: async ({ post }) =>
        expectError(
          await post('half/versions/9:predict', ONE),
          404,
          'Servable not found for request: Specific(half, 9)',
        ),
    },
    {
      clause: 'An unknown label is 400, `Unrecognized servable version label: X`',
      check: async ({ post }) =>
        expectError(await post('half_plus_two/labels/x:predict', ONE), 400, /^Unrecognized servable version label: x$/),
    },
    {
      clause: 'An unknown signature is 400, `Serving signature name: "x" not found in signature def`',
      check: async ({ post }) => {
        const reply = await post('half_plus_two:predict', '{"signature_name": "x", "instances": [1.0]}');
        expectError(reply, 400, /^Serving signature name: "x" not found in signature def$/);
      },
    },
    {
      clause: 'A request that takes longer than `--rest_api_timeout_in_ms` is 504',
      check: async ({ withGateway, http }) => {
        expect((await http('/v1/models/half_plus_two')).status).toBe(200);
        await withGateway({ timeoutMs: 1 }, async ({ restUrl }) => {
          const reply = await fetch(`${restUrl}/v1/models/half_plus_two:predict`, { method: 'POST', body: ONE });
          expect([reply.status, await reply.text()]).toEqual([504, expect.stringContaining('DEADLINE: ')]);
        });
      },
    },
    {
      clause: 'A body over the limit is 400',
      differs: '413, with the limit in bytes',
      check: async ({ withGateway }) => {
        await withGateway({ bodyBytesMax: 10 }, async ({ restUrl }) => {
          const reply = await fetch(`${restUrl}/v1/models/half_plus_two:predict`, { method: 'POST', body: ONE });
          expect([reply.status, await reply.text()]).toEqual([413, expect.stringContaining('limit of 10 bytes')]);
        });
      },
    },
  ],
};
