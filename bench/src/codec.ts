/** Codecs on real activations: what they save, what they cost in error and time, cut by cut. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadWasmKernels } from '@shoal/sharding/wasm';
import type { Bench, BenchContext } from './bench.ts';
import { measureLinks } from './codec-links.ts';
import { measureCodecs, type CutCases } from './codec-measure.ts';
import { decodePhotos } from './codec-pictures.ts';
import { codecRows } from './codec-rows.ts';
import { measureSpeeds } from './codec-speed.ts';
import { openSubjects, type Subject } from './codec-subjects.ts';
import { codecTables, type CodecTable } from './codec-tables.ts';
import type { BenchRow } from './row.ts';

const MEASURED = ['exact', 'f16', 'int8', 'int4', ...[8, 7, 6, 5, 4, 3].map((bits) => `int${bits}+rans`)];

export const codec: Bench = {
  name: 'codec',
  summary: 'activations at the cuts of real models: bytes, error at the output, codec speed',
  run: async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-codec-'));
    try {
      return await (context.full ? measureEveryCut : measureSome)(context, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measureSome(context: BenchContext, folder: string): Promise<BenchRow[]> {
  const photos = await decodePhotos([224, 299]);
  const links = await measureLinks(context, photos.get(299) ?? []);
  const { digits, labels, sentences, onPhotos } = await openSubjects(folder, photos, false);
  const speeds = await measureSpeeds(onPhotos, context.progress);
  const cases = {
    photos: (await sequentially(onPhotos, (subject) => measureSubject(subject, context))).flat(),
    digits: await measureSubject(digits, context),
    labels,
    sentences: await measureSubject(sentences, context),
  };
  return [...codecRows(cases, 'sampled cuts'), ...speeds, ...links];
}

/** Bytes and errors alone, which other work on the machine does not change: some forty minutes. Each model is written when it is done. */
async function measureEveryCut(context: BenchContext, folder: string): Promise<BenchRow[]> {
  const { digits, labels, sentences, onPhotos } = await openSubjects(folder, await decodePhotos([224, 299]), true);
  const tables: CodecTable[] = [];
  for (const subject of [digits, sentences, ...onPhotos]) {
    tables.push({ subject, cuts: await measureSubject(subject, context) });
    await context.document('codecs.md', codecTables(tables));
  }
  const cutsOf = (wanted: readonly Subject[]): readonly CutCases[] =>
    tables.flatMap(({ subject, cuts }) => (wanted.includes(subject) ? cuts : []));
  const cases = { photos: cutsOf(onPhotos), digits: cutsOf([digits]), labels, sentences: cutsOf([sentences]) };
  return codecRows(cases, 'every legal cut');
}

async function measureSubject(
  { name, model, inputs, positions }: Subject,
  { progress }: BenchContext,
): Promise<CutCases[]> {
  const kernels = await loadWasmKernels();
  const outputs = await model.run(0, model.chain.graph.layers.length, inputs);
  const found: CutCases[] = [];
  let at = 0;
  let arriving = inputs;
  for (const position of positions) {
    arriving = await model.run(at, position, arriving);
    at = position;
    progress(`${name}, cut ${found.length + 1} of ${positions.length}`);
    const crossing = Object.values(arriving[0] ?? {})
      .map(({ shape }) => `[${shape.join(',')}]`)
      .join(' + ');
    const cases = await measureCodecs(model, position, { arriving, outputs }, MEASURED, kernels);
    found.push({ position, crossing, cases });
  }
  return found;
}

async function sequentially<Item, Result>(
  items: readonly Item[],
  run: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}
