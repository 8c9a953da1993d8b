/** `shoal predict`: one request over the mesh, in TensorFlow Serving's JSON, and its answer as that would print it. */
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { readPredictRequest, writePredictResponse } from '@shoal/gateway/json';
import { connect, type MeshModel, type Prediction, type StageTrace, type TensorData } from '@shoal/mesh/client';
import { parseInvite } from '@shoal/mesh/invite';
import { UsageError, wholeNumber } from './flags.ts';

const DEADLINE_MS = 30_000;
const DEADLINE_MS_MAX = 600_000;

export interface PredictFlags {
  readonly mesh?: string;
  readonly url?: string;
  readonly data?: string;
  readonly file?: string;
  readonly version?: string;
  readonly label?: string;
  readonly deadline?: string;
  readonly trace?: boolean;
}

/** @throws UsageError, MeshError */
export async function predict(name: string, flags: PredictFlags): Promise<void> {
  const link = flags.mesh ?? process.env['SHOAL_MESH'];
  if (link === undefined) {
    throw new UsageError('--mesh is missing: give the playground link that shoal serve prints, or set SHOAL_MESH');
  }
  const { token, url = flags.url } = parseInvite(link);
  if (url === undefined) throw new UsageError('--url is missing: --mesh is a token, not a link');
  const deadlineMs = wholeNumber('--deadline', flags.deadline, DEADLINE_MS, DEADLINE_MS_MAX);
  const body = await bodyOf(flags);
  const mesh = await connect({ url, token, deadlineMs });
  try {
    const model = await mesh.model(name, {
      ...(flags.version === undefined ? {} : { version: wholeNumber('--version', flags.version, 0, 2 ** 53 - 1) }),
      ...(flags.label === undefined ? {} : { label: flags.label }),
    });
    const request = readPredictRequest(body, model.info.signatures);
    const prediction = await model.predictTraced<TensorData>(request.inputs, {
      signature: request.signatureName,
      deadlineMs,
    });
    for (const piece of writePredictResponse(request.layout, prediction.outputs)) process.stdout.write(piece);
    process.stdout.write('\n');
    if (flags.trace === true) process.stderr.write(`${traceOf(model, prediction)}\n`);
  } finally {
    await mesh.close();
  }
}

async function bodyOf({ data, file }: PredictFlags): Promise<Uint8Array> {
  if (data !== undefined && file !== undefined) throw new UsageError('--data and --file: give one of them');
  if (data !== undefined) return new TextEncoder().encode(data);
  if (file === undefined) return new TextEncoder().encode(await readAll(process.stdin));
  try {
    return await readFile(file);
  } catch (error) {
    throw new UsageError(`--file ${file} cannot be read`, { cause: error });
  }
}

function traceOf({ info }: MeshModel, { totalMs, microbatches }: Prediction<TensorData>): string {
  const lines = microbatches.map(({ rows, attempts, stages }) => {
    const route = stages.map(
      ({ nodeName, backend, computeMs, wrote }) =>
        `${nodeName} (${backend ?? '?'}, ${computeMs.toFixed(1)} ms${wrote === undefined ? '' : codedText(wrote)})`,
    );
    return `  rows ${rows[0]}-${rows[1]}: ${route.join(' -> ')}${attempts > 1 ? `, attempt ${attempts}` : ''}`;
  });
  return [`${info.model} version ${info.version}, ${totalMs.toFixed(1)} ms`, ...lines].join('\n');
}

/** How a stage wrote what it made, where that took a codec. */
function codedText({ codec, bytes, plainBytes, error }: NonNullable<StageTrace['wrote']>): string {
  if (codec === 'f32') return '';
  const loss = error === null ? 'not measured' : error.relativeL2 === 0 ? 'none' : error.relativeL2.toExponential(1);
  return `, ${codec}: ${bytes} of ${plainBytes} bytes, error ${loss}`;
}
