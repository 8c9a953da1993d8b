/**
 * The models that the npm package nsfwjs carries, as ordinary tfjs files. The package holds them as minified modules that
 * export a JSON object or base64 text; their data is read out of the source text and no code of theirs runs.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseMinifiedLiteral } from './object-literal.ts';
import type { SampleModel } from './place-model.ts';

export type NsfwModelName = keyof typeof FILES;

/** SHA-256 of each file of nsfwjs 4.4.0's models: weights as the package holds them, the topology as `JSON.stringify` writes it. */
const FILES = {
  mobilenet_v2: {
    'model.json': 'feffc6868d61e412a4e7a22657a3d07a8a48df6e11688a9e25b77c23cb7b45c9',
    'group1-shard1of1': '8e7dddbb16acacc1bf1601b1b8a761e730ff934b7f2d7771312b2f000e5f5f13',
  },
  mobilenet_v2_mid: {
    'model.json': '935a537cc627402ee7303f75e59083809ab857ae99969523ba1aa726c65c8161',
    'group1-shard1of2': '70e4519134a0a12417ad80b6c299d8a2b90e52ce389d03d9d56b08df6b7f5b09',
    'group1-shard2of2': '70f6216b39b52b6f1e31e13683c71987a587dc1a85644adffa17cb48c2e9bee7',
  },
  inception_v3: {
    'model.json': 'f5882005bdfa95fa82c3d2fe0419b27495736336e1784a3563a8b746f3c3f7e3',
    'group1-shard1of6': '7a3a4c075cfcaa7f0b095f55b2ba54a288c2f770e504c8537394efda9545994b',
    'group1-shard2of6': '8826da12bda0db9415aef0e6a8d1f178a0d950deab28c4e79b9da994748702a4',
    'group1-shard3of6': '4557a96cf87ceb8df6c9647b647ac9843251a4455457cb40f35c02250a63e51c',
    'group1-shard4of6': '399b99397ccd64351b59f04cdabe30000a15494c82f75c1e2ccb41c9b6338b7d',
    'group1-shard5of6': '994515b0f73407d71740301e9877511b086609dbdc7ead1b31bcb82b3397ae74',
    'group1-shard6of6': 'cfb856c9d8fcefacca87b6063ed4949adf69f0372407d6edca8cec0c1694a28b',
  },
} as const;

/** Version 1 of model `name`, read from the installed package when its files are asked for. */
export function nsfwModel(name: NsfwModelName): SampleModel {
  const files = Object.entries(FILES[name]).map(([path, sha256]) => ({
    path,
    sha256,
    read: () => (path === 'model.json' ? readTopology(name) : readWeights(name, path)),
  }));
  return { name, version: 1, files };
}

async function readTopology(name: NsfwModelName): Promise<Uint8Array> {
  const literal = exportedLiteral(await readModule(name, 'model'));
  return new TextEncoder().encode(JSON.stringify(parseMinifiedLiteral(literal)));
}

async function readWeights(name: NsfwModelName, path: string): Promise<Uint8Array> {
  return Buffer.from(exportedLiteral(await readModule(name, path)).slice(1, -1), 'base64');
}

function readModule(name: NsfwModelName, module: string): Promise<string> {
  // Package exports hide the files; they lie beside the entry point's folder: dist/cjs/index.js, dist/models/…
  const entry = createRequire(import.meta.url).resolve('nsfwjs');
  return readFile(join(dirname(entry), '..', 'models', name, `${module}.min.js`), 'utf8');
}

/** Text of what a browserify bundle of one module assigns to `exports`. */
function exportedLiteral(source: string): string {
  const opening = /\.exports=(?=["{][^}])/.exec(source);
  const end = source.lastIndexOf('},{}]},{},[1])');
  if (opening === null || end < opening.index)
    throw new Error('nsfwjs: a model file is not in the form of version 4.4.0');
  return source.slice(opening.index + opening[0].length, end);
}
