/** An inference request from its body to its answer. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { MeshModel } from '@shoal/mesh/client';
import { MeshError, type ModelInfo, type NamedTensors } from '@shoal/protocol';
import { rowsIn, type Inference } from './inference.ts';
import type { InferRequest, Verb } from './json/infer-request.ts';
import { writePredictResponse } from './json/predict-response.ts';
import { writeClassification, writeRegression } from './json/results-response.ts';
import { inPieces } from './json/text-pieces.ts';
import type { CountedRequest } from './metrics/counted-request.ts';
import type { RequestDecoder } from './request-decoder.ts';
import { RestError, type RestAnswer } from './rest-answer.ts';

/** About a megabyte. */
const PIECES_WHOLE_MAX = 64;

export interface InferCall {
  readonly verb: Verb;
  readonly model: MeshModel;
  readonly body: Buffer;
  readonly decoder: RequestDecoder;
  readonly inference: Inference;
  readonly counted: CountedRequest;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** @throws RestError 400 for what the request has wrong, MeshError for what goes wrong in the mesh */
export async function infer(call: InferCall): Promise<RestAnswer> {
  const { verb, model, body, decoder, inference, counted, deadlineMs, signal } = call;
  const startedAtMs = performance.now();
  const request = await worded(decoder.decode({ verb, body, signatures: model.info.signatures }, signal));
  const remainingMs = deadlineMs - (performance.now() - startedAtMs);
  if (remainingMs <= 0) throw new MeshError('DEADLINE', `decoding the request took the ${deadlineMs} ms it had`);
  const { signatureName, inputs } = request;
  const ranFromMs = performance.now();
  const outputs = await inference.run({ model, signatureName, inputs, deadlineMs: Math.ceil(remainingMs), signal });
  counted.ran(performance.now() - ranFromMs, rowsIn(inputs));
  return { status: 200, body: await bodyOf(writeResponse(verb, request, outputs, model.info)) };
}

/** Small bodies whole, so that their length is known; large ones as they are written, at the pace they are taken. */
async function bodyOf(pieces: Generator<string, void>): Promise<Buffer | Readable> {
  const head: Buffer[] = [];
  try {
    for (;;) {
      if (head.length > 1) await setImmediate();
      const { value, done } = pieces.next();
      if (done === true) return Buffer.concat(head);
      head.push(Buffer.from(value));
      if (head.length === PIECES_WHOLE_MAX) return Readable.from(paced(head, pieces), { objectMode: false });
    }
  } catch (error) {
    throw wordedError(error);
  }
}

async function* paced(head: Iterable<Buffer>, pieces: Iterable<string>): AsyncGenerator<Buffer, void> {
  yield* head;
  for (const piece of pieces) {
    await setImmediate();
    yield Buffer.from(piece);
  }
}

function writeResponse(
  verb: Verb,
  { layout }: InferRequest,
  outputs: NamedTensors,
  { classNames }: ModelInfo,
): Generator<string, void> {
  switch (verb) {
    case 'predict':
      return writePredictResponse(layout, outputs);
    case 'classify':
      return inPieces(writeClassification(outputs, classNames));
    case 'regress':
      return inPieces(writeRegression(outputs));
  }
}

/** The codec words its refusals as TensorFlow Serving does: they go to the caller as they are, all as INVALID_ARGUMENT. */
async function worded<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw wordedError(error);
  }
}

function wordedError(error: unknown): Error {
  const meshError = MeshError.from(error);
  const isWorded = meshError.code === 'BAD_INPUT' || meshError.code === 'SIGNATURE_NOT_FOUND';
  return isWorded ? new RestError(400, meshError.reason, { cause: error }) : meshError;
}
