/** What codecs gain on links: inception_v3 in two stages on two real nodes, with an error budget against float32, at the same cut. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MeshModel, Prediction, TensorData } from '@shoal/mesh/client';
import { extractNsfwModel } from '@shoal/samples';
import type { BenchContext } from './bench.ts';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { calibrateModel } from './calibration.ts';
import { startLinkNode, type LinkNode } from './link-node.ts';
import { makeNamespaces, type Namespaces } from './namespaces.ts';
import type { BenchRow } from './row.ts';
import { measuredRow, median, rowsOrReason, type RowAbout } from './statistics.ts';

const MODEL = 'inception_v3';
const NODES = ['head', 'tail'] as const;
/** Behind mixed3 and mixed4: 17×17×768 cross, 888 KB a row as float32. */
const CUTS: readonly number[] = [100, 132];
const BUDGET = 0.02;
const SLOW_BITS_PER_SECOND = 2_000_000;
const LOOPBACK_ROUNDS = 5;
const SLOW_ROUNDS = 2;
const DEADLINE_MS = 120_000;
/** Enough to keep both stages busy, few enough that little waits on a slow link when a round ends. */
const IN_FLIGHT = 4;
/** The first results of a round came from an empty pipeline. */
const WARM_UP = 4;
const TIMING = { settleMs: 1000, driftMs: 1000, cooldownMs: 1000, lingerMs: 30_000 };
/** From when it is where both sides are to be measured, the cut stays there. */
const STAY = { driftMs: 3_600_000, cooldownMs: 3_600_000 };
const PLACED_MS_MAX = 120_000;

const SETUP = `two stages of ${MODEL} on two processes with wasm, WebRTC, the same cut with float32 in the same run; error budget ${BUDGET}`;
const GAIN: RowAbout = {
  metric: 'slow_link_gain',
  unit: 'ratio',
  baseline: `images per second with float32; ${SETUP}; ${SLOW_BITS_PER_SECOND / 1e6} Mbit/s between the nodes by the kernel's htb, in network namespaces`,
  target: 4,
  better: 'higher',
};
const LOOPBACK: RowAbout = {
  metric: 'loopback_ratio',
  unit: 'ratio',
  baseline: `images per second with float32; ${SETUP}; one machine, no limit`,
  target: 0.97,
  better: 'higher',
};
const SHARE: RowAbout = {
  metric: 'codec_share_of_stage',
  unit: 'ratio',
  baseline: `time to write and read what crosses over the time of both stages; no limit, the pipeline of loopback_ratio`,
  target: 0.05,
  better: 'lower',
};
const CLAIM: RowAbout = {
  metric: 'wire_bytes_claim_ratio',
  unit: 'ratio',
  baseline:
    'bytes that the first node gave to its link to the second over those that the traces claim; headers, credit and pings included',
  target: 1.02,
  better: 'lower',
};
const ABOUTS = [LOOPBACK, SHARE, CLAIM, GAIN];

interface Pipeline {
  readonly model: MeshModel;
  readonly nodes: readonly LinkNode[];
  readonly photos: readonly TensorData[];
}

interface Round {
  readonly imagesPerSecond: number;
  readonly predictions: readonly Prediction<TensorData>[];
}

/** @param photos half of them calibrates, the others are asked about */
export async function measureLinks(context: BenchContext, photos: readonly TensorData[]): Promise<readonly BenchRow[]> {
  let namespaces: Namespaces | undefined;
  let why = '';
  try {
    namespaces = await makeNamespaces();
  } catch (error) {
    why = `no network namespaces here: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
  try {
    return await rowsOrReason(ABOUTS, async () => {
      const opened = await openPipeline(context, namespaces, photos);
      try {
        const fast = await onLoopback(context, opened.pipeline);
        if (namespaces === undefined) return [...fast, { ...GAIN, value: null, note: `not measured: ${why}` }];
        await namespaces.limit(SLOW_BITS_PER_SECOND);
        return [...fast, await onSlowLink(context, opened.pipeline)];
      } finally {
        await opened.close();
      }
    });
  } finally {
    await namespaces?.close();
  }
}

async function openPipeline(
  { progress }: BenchContext,
  namespaces: Namespaces | undefined,
  photos: readonly TensorData[],
): Promise<{ readonly pipeline: Pipeline; readonly close: () => Promise<void> }> {
  const timing = { ...TIMING };
  const mesh = await startBenchMesh({
    prepareModels: async (folder) => {
      const home = join(folder, MODEL);
      await extractNsfwModel(MODEL, folder);
      // With a budget the planner takes one of the cuts that were measured.
      const serving = { placement: { mode: 'pipeline', stages: NODES.length }, errorBudget: BUDGET };
      await writeFile(join(home, 'serving.json'), JSON.stringify(serving));
      progress(`calibrating before layers ${CUTS.join(' and ')}`);
      const calibrating = photos.filter((_, i) => i % 2 === 0);
      await calibrateModel(home, calibrating, CUTS);
    },
    timing,
    ...(namespaces === undefined ? {} : { host: namespaces.host }),
  });
  const { url, invite, folder } = mesh;
  const client = await mesh.connect();
  const nodes: LinkNode[] = [];
  const close = async (): Promise<void> => {
    await client.close();
    for (const node of nodes) await node.stop();
    await mesh.close();
  };
  try {
    for (const [i, name] of NODES.entries()) {
      nodes.push(startLinkNode({ url, invite, folder, name }, namespaces?.names[i]));
    }
    const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
    await untilServedBy(model, NODES);
    const pipeline = { model, nodes, photos: photos.filter((_, i) => i % 2 === 1) };
    // What nodes say of their speed when they join may be far off; by real work they are alike.
    const deadlineMs = performance.now() + PLACED_MS_MAX;
    while (!CUTS.includes(cutOf(model))) {
      if (performance.now() > deadlineMs)
        throw new Error(`the planner cuts before layer ${cutOf(model)}, not ${CUTS.join(' or ')}`);
      await run(pipeline, 'free', 4);
    }
    Object.assign(timing, STAY);
    await untilServedBy(model, NODES);
    return { pipeline, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const cutOf = ({ plan }: MeshModel): number => plan?.stages[1]?.layers.start ?? 0;

async function run({ model, nodes, photos }: Pipeline, how: 'f32' | 'free', images: number): Promise<Round> {
  for (const node of nodes) node.write(how);
  const predictions: Prediction<TensorData>[] = [];
  let startMs = 0;
  const options = { inFlight: IN_FLIGHT, ordered: false, errorBudget: BUDGET };
  for await (const prediction of model.predictStreamTraced(asked(photos, WARM_UP + images + IN_FLIGHT), options)) {
    predictions.push(prediction);
    // What follows the last one that counts keeps the pipeline full until it is there.
    if (predictions.length === WARM_UP) startMs = performance.now();
    if (predictions.length === WARM_UP + images) {
      const imagesPerSecond = (1000 * images) / (performance.now() - startMs);
      return { imagesPerSecond, predictions };
    }
  }
  throw new Error('the stream ended before its last result');
}

function* asked(photos: readonly TensorData[], count: number): Generator<TensorData> {
  for (let i = 0; i < count; i++) yield photos[i % photos.length] as TensorData;
}

/** How the first stage wrote, and what the stages took, image by image. */
const stagesOf = (rounds: readonly Round[]) =>
  rounds.flatMap(({ predictions }) =>
    predictions.flatMap(({ microbatches }) => microbatches.map(({ stages }) => stages)),
  );

async function onLoopback({ progress }: BenchContext, pipeline: Pipeline): Promise<BenchRow[]> {
  progress('no limit');
  const images = 16;
  const plain: Round[] = [];
  const coded: Round[] = [];
  // Codecs are tried, the first runs compiled.
  await run(pipeline, 'free', images);
  plain.push(await run(pipeline, 'f32', images));
  for (let round = 0; round < LOOPBACK_ROUNDS; round++) {
    coded.push(await run(pipeline, 'free', images));
    plain.push(await run(pipeline, 'f32', images));
    progress(
      `${plain.at(-1)?.imagesPerSecond.toFixed(2)} f32, ${coded.at(-1)?.imagesPerSecond.toFixed(2)} coded, ${tally([coded.at(-1) as Round])}`,
    );
  }
  const ratios = coded.map(
    ({ imagesPerSecond }, i) =>
      (2 * imagesPerSecond) / ((plain[i]?.imagesPerSecond ?? 0) + (plain[i + 1]?.imagesPerSecond ?? 0)),
  );
  const shares = coded.map((round) => {
    const stages = stagesOf([round]).flat();
    const codecMs = sum(stages.map(({ wrote }) => (wrote?.encodeMs ?? 0) + (wrote?.decodeMs ?? 0)));
    return codecMs / (codecMs + sum(stages.map(({ computeMs }) => computeMs)));
  });
  const note = `${median(plain.map((round) => round.imagesPerSecond)).toFixed(2)} images/s with f32; before layer ${cutOf(pipeline.model)}; ${tally(coded)}`;
  return [
    measuredRow({ ...LOOPBACK, note }, ratios),
    measuredRow(SHARE, shares),
    measuredRow(CLAIM, [await claimRatio(pipeline)]),
  ];
}

async function claimRatio(pipeline: Pipeline): Promise<number> {
  const first = pipeline.model.placement.stages[0]?.replicas[0]?.name;
  const head = pipeline.nodes[NODES.findIndex((name) => name === first)] as LinkNode;
  const before = await head.sentBytes();
  const { model, photos } = pipeline;
  let claimed = 0;
  for (const photo of photos) {
    const { microbatches } = await model.predictTraced<TensorData>(photo, { errorBudget: BUDGET });
    claimed += sum(microbatches.map(({ stages }) => stages[0]?.wrote?.bytes ?? 0));
  }
  const after = await head.sentBytes();
  return Math.max(...after.map((bytes, i) => bytes - (before[i] ?? 0))) / claimed;
}

async function onSlowLink({ progress }: BenchContext, pipeline: Pipeline): Promise<BenchRow> {
  progress('slow link');
  const plain: Round[] = [];
  const coded: Round[] = [];
  // The link's windows and the nodes' figures follow its new rate: what is coded fits one packet each, which tells none.
  await run(pipeline, 'f32', 2);
  for (let round = 0; round < SLOW_ROUNDS; round++) {
    plain.push(await run(pipeline, 'f32', 5));
    coded.push(await run(pipeline, 'free', 24));
    progress(
      `${plain.at(-1)?.imagesPerSecond.toFixed(3)} f32, ${coded.at(-1)?.imagesPerSecond.toFixed(3)} coded, ${tally([coded.at(-1) as Round])}`,
    );
  }
  const gains = coded.map(({ imagesPerSecond }, i) => imagesPerSecond / (plain[i]?.imagesPerSecond ?? 0));
  const perSecond = (rounds: readonly Round[]): string =>
    median(rounds.map(({ imagesPerSecond }) => imagesPerSecond)).toFixed(3);
  // What the link carries of each, and what the slower stage computes, as measured in the coded rounds.
  const carried = (bytes: number): string => (SLOW_BITS_PER_SECOND / 8 / bytes).toFixed(2);
  const wrote = stagesOf(coded).flatMap(([first]) => (first?.wrote === undefined ? [] : [first.wrote]));
  const stageMs = [0, 1].map((at) => median(stagesOf(coded).map((stages) => stages[at]?.computeMs ?? 0)));
  const bounds = `the link carries ${carried(median(wrote.map(({ plainBytes }) => plainBytes)))} and ${carried(median(wrote.map(({ bytes }) => bytes)))}, the slower stage computes ${(1000 / Math.max(...stageMs)).toFixed(2)}`;
  const note = `${perSecond(plain)} images/s with f32, ${perSecond(coded)} coded: ${bounds}; before layer ${cutOf(pipeline.model)}; ${tally(coded)}`;
  return measuredRow({ ...GAIN, note }, gains);
}

/** What was written between the stages: codecs, how often, and the share of float32's bytes. */
function tally(rounds: readonly Round[]): string {
  const wrote = stagesOf(rounds).flatMap(([first]) => (first?.wrote === undefined ? [] : [first.wrote]));
  const counts = new Map<string, number>();
  for (const { codec } of wrote) counts.set(codec, (counts.get(codec) ?? 0) + 1);
  const share = sum(wrote.map(({ bytes }) => bytes)) / sum(wrote.map(({ plainBytes }) => plainBytes));
  const plainBytes = median(wrote.map((one) => one.plainBytes));
  return `${[...counts].map(([codec, count]) => `${codec} ${count}`).join(', ')}, ${share.toFixed(3)} of ${plainBytes} bytes`;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
