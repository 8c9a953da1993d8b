import { expect } from 'vitest';
import type { Section } from '../clause.ts';
import { expectStatus, floats } from '../rpc.ts';

const PREDICT = 'PredictionService/Predict';
const inputs = { x: floats([1], 1) };

export const grpcErrors: Section = {
  title: 'gRPC: errors, deadlines, limits',
  clauses: [
    {
      clause: 'An unknown model or version is NOT_FOUND, `Servable not found for request: …`',
      check: async ({ grpc }) => {
        const model = await grpc(PREDICT, { model_spec: { name: 'half' }, inputs });
        expectStatus(model, 'NOT_FOUND', 'Servable not found for request: Latest(half)');
        const version = await grpc(PREDICT, { model_spec: { name: 'half', version: { value: 9 } }, inputs });
        expectStatus(version, 'NOT_FOUND', 'Servable not found for request: Specific(half, 9)');
      },
    },
    {
      clause: 'An unknown label is INVALID_ARGUMENT, `Unrecognized servable version label: X`',
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, { model_spec: { name: 'half_plus_two', version_label: 'x' }, inputs });
        expectStatus(reply, 'INVALID_ARGUMENT', 'Unrecognized servable version label: x');
      },
    },
    {
      clause: 'An unknown signature is FAILED_PRECONDITION, `Serving signature key "x" not found.`',
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, { model_spec: { name: 'half_plus_two', signature_name: 'x' }, inputs });
        expectStatus(reply, 'FAILED_PRECONDITION', 'Serving signature key "x" not found.');
      },
    },
    {
      clause: 'No model, or no name, is INVALID_ARGUMENT',
      check: async ({ grpc }) => {
        expectStatus(await grpc(PREDICT, { inputs }), 'INVALID_ARGUMENT', 'Missing ModelSpec');
        expectStatus(
          await grpc(PREDICT, { model_spec: {}, inputs }),
          'INVALID_ARGUMENT',
          'ModelSpec has no name specified.',
        );
      },
    },
    {
      clause: 'Inputs that do not match are INVALID_ARGUMENT with what is surplus and what is missing',
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, { model_spec: { name: 'sum_and_product' }, inputs });
        expectStatus(
          reply,
          'INVALID_ARGUMENT',
          'input size does not match signature: 1!=2 len({x}) != len({a,b}). Sent extra: {x}. Missing but required: {a,b}.',
        );
      },
    },
    {
      clause: "The client's deadline is the deadline of the computation: DEADLINE_EXCEEDED",
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, { model_spec: { name: 'half_plus_two' }, inputs }, { deadlineMs: 0 });
        expectStatus(reply, 'DEADLINE_EXCEEDED', /./);
      },
    },
    {
      clause: 'A call without a deadline may take for ever',
      differs: 'it has the REST time-out, 30 s: every wait ends',
      check: async ({ withGateway, grpcOf }) => {
        await withGateway({ timeoutMs: 1 }, async (gateway) => {
          const reply = await grpcOf(
            gateway,
            PREDICT,
            { model_spec: { name: 'half_plus_two' }, inputs },
            { deadlineMs: Number.POSITIVE_INFINITY },
          );
          expectStatus(reply, 'DEADLINE_EXCEEDED', /^DEADLINE: /);
        });
      },
    },
    {
      clause: 'Messages are cut at 1024 characters and end in `...TRUNCATED`',
      check: async ({ grpc }) => {
        const reply = await grpc(PREDICT, {
          model_spec: { name: 'half_plus_two', signature_name: 'x'.repeat(2000) },
          inputs,
        });
        const start = 'Serving signature key "';
        expectStatus(reply, 'FAILED_PRECONDITION', `${start}${'x'.repeat(1024 - start.length)}...TRUNCATED`);
      },
    },
    {
      clause: 'Messages may have 2^31 - 1 bytes',
      differs:
        "RESOURCE_EXHAUSTED above the REST body's limit, 64 MiB: models here take far less, and memory is bounded",
      check: async ({ withGateway, grpcOf }) => {
        await withGateway({ bodyBytesMax: 1000 }, async (gateway) => {
          const x = floats([1000], ...new Array<number>(1000).fill(1));
          const reply = await grpcOf(gateway, PREDICT, { model_spec: { name: 'half_plus_two' }, inputs: { x } });
          expectStatus(reply, 'RESOURCE_EXHAUSTED', /larger than max/);
          expect((await grpcOf(gateway, PREDICT, { model_spec: { name: 'half_plus_two' }, inputs })).code).toBe(0);
        });
      },
    },
  ],
};
