/** Entry of a decoding thread: one task at a time, memory handed over both ways. */
import { parentPort } from 'node:worker_threads';
import { MeshError, type ReasonCode } from '@shoal/protocol';
import { readInferRequest, type InferRequest } from './json/infer-request.ts';
import type { DecodeTask } from './request-decoder.ts';

export type DecodeReply =
  | { readonly ok: true; readonly request: InferRequest }
  | { readonly ok: false; readonly code: ReasonCode; readonly reason: string };

if (parentPort === null) throw new Error('this file is the entry of a worker thread');
const port = parentPort;

port.on('message', ({ verb, body, signatures }: DecodeTask) => {
  try {
    const request = readInferRequest(verb, body, signatures);
    const memory = Object.values(request.inputs).flatMap(({ data }) =>
      ArrayBuffer.isView(data) ? [data.buffer as ArrayBuffer] : [],
    );
    port.postMessage({ ok: true, request } satisfies DecodeReply, memory);
  } catch (error) {
    const { code, reason } = MeshError.from(error);
    port.postMessage({ ok: false, code, reason } satisfies DecodeReply);
  }
});
