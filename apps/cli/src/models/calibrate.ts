/** `shoal model calibrate`: what codecs do to a model's answers, measured on requests of the operator's own. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readPredictRequest } from '@shoal/gateway/json';
import { DEFAULT_SIGNATURE, MeshError, type NamedTensors } from '@shoal/protocol';
import { calibrate } from '@shoal/runtime';
import {
  chainText,
  cutsToMeasure,
  modelChain,
  REFERENCE_KERNELS,
  signatureOf,
  type CodecTable,
  type ModelProfile,
} from '@shoal/sharding';
import { loadWasmKernels } from '@shoal/sharding/wasm';
import { UsageError, wholeNumber } from '../flags.ts';
import { readModelFiles, readModelFolder } from './model-folder.ts';
import { withExecutor } from './prove-model.ts';

const CUTS_DEFAULT = 16;
const CUTS_MAX = 1000;
const TABLE_FILE = 'codecs.json';

export interface CalibrateFlags {
  readonly inputs?: string;
  readonly cuts?: string;
  readonly at?: string;
}

/** @throws UsageError, MeshError MODEL_INVALID, EXECUTION_FAILED, BAD_INPUT for a request that does not fit */
export async function calibrateModel(folder: string, flags: CalibrateFlags): Promise<void> {
  const count = wholeNumber('--cuts', flags.cuts, CUTS_DEFAULT, CUTS_MAX);
  const { checked } = await readModelFolder(folder, 'model', 1);
  const { manifest, profile } = checked;
  if (profile === null || manifest.chainDigest === null) {
    throw new UsageError(`${folder} is served whole only: nothing crosses from stage to stage`);
  }
  const { description, weights, topology } = await readModelFiles(folder);
  const chain = modelChain(JSON.parse(new TextDecoder().decode(topology)));
  const signature = signatureOf(manifest, DEFAULT_SIGNATURE);
  const inputs = await readInputs(flags.inputs ?? join(folder, '..', 'calibration'), manifest.signatures);
  const kernels = await loadWasmKernels().catch(() => REFERENCE_KERNELS);
  const table = await withExecutor((executor) =>
    calibrate({
      executor,
      kernels,
      chain,
      chainDigest: createHash('sha256').update(chainText(chain)).digest('hex'),
      weights,
      signature,
      inputs,
      positions:
        flags.at === undefined ? cutsToMeasure(profile, Math.max(1, count)) : readCuts(flags.at, profile.legal),
      onCut: (done, of) => process.stderr.write(`cut ${done} of ${of}\n`),
    }),
  );
  // A running coordinator sees the file whole or not at all.
  const file = join(folder, TABLE_FILE);
  await writeFile(`${file}.part`, `${JSON.stringify(table)}\n`);
  await rename(`${file}.part`, file);
  process.stdout.write(
    `${tableText(table)}\nwritten to ${file}: ${description.format}, ${table.cuts[0]?.rows ?? 0} rows\n`,
  );
}

/** The layers before which to measure, ascending. @throws UsageError */
function readCuts(text: string, legal: ModelProfile['legal']): number[] {
  const cuts = text.split(',').map(Number);
  const wrong = cuts.find((cut) => cut !== 0 && legal[cut] !== true);
  if (wrong === undefined) return [...new Set(cuts)].sort((a, b) => a - b);
  const places = legal.flatMap((isLegal, cut) => (isLegal && cut > 0 ? [cut] : []));
  throw new UsageError(
    `--at is "${text}", expected layers of this model before which a stage may begin: ${places.join(', ')}`,
  );
}

/** Bodies of predict requests, one a file: what clients of the model send anyway. */
async function readInputs(
  folder: string,
  signatures: Parameters<typeof readPredictRequest>[1],
): Promise<readonly NamedTensors[]> {
  const files = await readdir(folder).catch((error: unknown) => {
    throw new UsageError(`${folder} cannot be read: put bodies of predict requests there, or give --inputs`, {
      cause: error,
    });
  });
  const requests: NamedTensors[] = [];
  for (const file of files.filter((name) => name.endsWith('.json')).sort()) {
    try {
      const request = readPredictRequest(await readFile(join(folder, file)), signatures);
      if (request.signatureName === DEFAULT_SIGNATURE) requests.push(request.inputs);
    } catch (error) {
      throw new MeshError('BAD_INPUT', `${join(folder, file)}: ${MeshError.from(error).reason}`, { cause: error });
    }
  }
  if (requests.length === 0) throw new UsageError(`${folder} has no .json file with a predict request`);
  return requests;
}

function tableText({ cuts }: CodecTable): string {
  const lines = cuts.map(({ position, f32Bytes, codecs }) => {
    const figures = codecs.map(({ codec, bytesRatio, relativeL2, disagreement }) => {
      const flips = disagreement > 0 ? `, ${(100 * disagreement).toFixed(1)} % other answers` : '';
      return `${codec} ${bytesRatio.toFixed(3)} (${relativeL2.toExponential(1)}${flips})`;
    });
    return `before layer ${position}, ${Math.round(f32Bytes)} bytes a row: ${figures.join(', ')}`;
  });
  return ['share of float32 bytes (relative L2 at the output):', ...lines].join('\n');
}
