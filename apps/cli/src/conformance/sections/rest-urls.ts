import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectError, expectJson } from '../rest.ts';

const ONE = '{"instances": [1.0]}';
const ORIGIN = { origin: 'https://app.example' };

export const restUrls: Section = {
  title: 'REST: URLs and headers',
  clauses: [
    {
      clause: '`POST /v1/models/M[/versions/V]:(classify|regress|predict)`, whatever the case of its words',
      check: async ({ post, http }) => {
        for (const path of ['half_plus_two:predict', 'half_plus_two/versions/1:predict', 'half_plus_two:PREDICT']) {
          expect(expectJson(await post(path, ONE))).toEqual({ predictions: [2.5] });
        }
        const upper = await http('/V1/MODELS/half_plus_two:predict', { method: 'POST', body: ONE });
        expect(expectJson(upper)).toEqual({ predictions: [2.5] });
      },
    },
    {
      clause: 'Names are URL-decoded',
      check: async ({ post }) => {
        expect(expectJson(await post('half%5Fplus%5Ftwo:predict', ONE))).toEqual({ predictions: [2.5] });
        expectError(await post('no%20such:predict', ONE), 404, 'Servable not found for request: Latest(no such)');
      },
    },
    {
      clause: '`GET /v1/models` is 400, "Missing model name in request."',
      check: async ({ http }) => expectError(await http('/v1/models'), 400, /^Missing model name in request\.$/),
    },
    {
      clause: 'Anything else under `/v1/` is 400, `Malformed request: <METHOD> <path>`, PUT and DELETE too',
      check: async ({ http }) => {
        for (const [method, path] of [
          ['GET', '/v1/'],
          ['GET', '/v1/models/half_plus_two:predict'],
          ['POST', '/v1/models/half_plus_two'],
          ['POST', '/v1/models/half_plus_two:train'],
          ['PUT', '/v1/models/half_plus_two:predict'],
          ['DELETE', '/v1/models/half_plus_two'],
        ] as const) {
          expectError(await http(path, { method }), 400, `Malformed request: ${method} ${path}`);
        }
      },
    },
    {
      clause: '`OPTIONS` is 200 with an origin, else 400 "Origin header is missing in CORS preflight"',
      check: async ({ http }) => {
        const path = '/v1/models/half_plus_two:predict';
        expect((await http(path, { method: 'OPTIONS', headers: ORIGIN })).status).toBe(200);
        expectError(await http(path, { method: 'OPTIONS' }), 400, /^Origin header is missing in CORS preflight$/);
      },
    },
    {
      clause: 'CORS headers are sent only where CORS is enabled',
      check: async ({ http }) => {
        const { headers } = await http('/v1/models/half_plus_two', { headers: ORIGIN });
        expect(headers['access-control-allow-origin']).toBeUndefined();
      },
    },
    {
      clause: "Responses are `application/json`; a request's content type is not looked at",
      check: async ({ post }) => {
        const reply = await post('half_plus_two:predict', ONE, { 'content-type': 'no type at all' });
        expect([reply.status, reply.headers['content-type']]).toEqual([200, 'application/json']);
      },
    },
    {
      clause: 'Request bodies with `Content-Encoding: gzip` are unpacked',
      check: async ({ post }) => {
        const reply = await post('half_plus_two:predict', gzipSync(ONE), { 'content-encoding': 'gzip' });
        expect(expectJson(reply)).toEqual({ predictions: [2.5] });
      },
    },
    {
      clause: 'A `Content-Encoding` other than gzip is ignored',
      differs: '415 with the encoding named: the body could not be read',
      check: async ({ post }) =>
        expectError(await post('half_plus_two:predict', ONE, { 'content-encoding': 'br' }), 415, /"br"/),
    },
  ],
};
