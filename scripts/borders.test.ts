/**
 * Proves that the house's borders hold: files that break one, laid into a copy of the rooms' settings, are refused
 * by the linter with the border's reason, or by the compiler. The working tree is never touched.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SETTINGS = ['.oxlintrc.json', 'tsconfig.json', 'types/universal.d.ts', 'packages/base/tsconfig.json'];
const PURE_ROOMS = ['base', 'protocol', 'sharding', 'scheduling', 'mesh', 'runtime'];
const DEADLINE_MS = 60_000;

/** What stands for a file of which the linter says nothing. */
const ALLOWED = 'allowed';
const ONE_WAY = 'Dependencies run one way';
const PORTS = 'A core takes adapters as ports';
const PLATFORM = 'Pure room: only the rooms to its left';

interface Case {
  readonly name: string;
  readonly path: string;
  readonly text: string;
  /** Part of the reason that the linter must give, or ALLOWED. */
  readonly reason: string;
}

const core = (room: string, file: string): string => `packages/${room}/src/broken/${file}.ts`;
const adapter = (room: string): string => `packages/${room}/src/adapters/whole.ts`;
const app = (name: string): string => `apps/${name}/src/broken/any.ts`;
const importing = (name: string): string => `import * as it from '${name}';\nexport const kept = it;\n`;

const oneWay: readonly Case[] = [
  ...PURE_ROOMS.flatMap((room, place) =>
    [...PURE_ROOMS, 'signaling'].slice(place + 1).map((right) => ({
      name: `${room} does not import ${right}`,
      path: core(room, right),
      text: importing(`@shoal/${right}`),
      reason: ONE_WAY,
    })),
  ),
  ...[
    ['protocol', 'base'],
    ['scheduling', 'sharding'],
    ['runtime', 'mesh/link'],
  ].map(([room = '', left = '']) => ({
    name: `${room} does import ${left}`,
    path: core(room, left.replace('/', '-')),
    text: importing(`@shoal/${left}`),
    reason: ALLOWED,
  })),
  ...[
    `export * from '@shoal/mesh';`,
    `export const late = import('@shoal/mesh');`,
    `import type { Link } from '@shoal/mesh';\nexport type Kept = Link;`,
  ].map((text, place) => ({
    name: `protocol is refused ${text}`,
    path: core('protocol', `form-${place}`),
    text,
    reason: ONE_WAY,
  })),
  {
    name: 'a neighbour is reached by its name',
    path: core('sharding', 'deep'),
    text: importing('../../protocol/src/limits.ts'),
    reason: 'Reach a neighbour by its name',
  },
];

const adapters: readonly Case[] = [
  ...PURE_ROOMS.map((room) => ({
    name: `${room} imports no adapter of its own`,
    path: core(room, 'adapter'),
    text: importing('../adapters/any.ts'),
    reason: PORTS,
  })),
  {
    name: 'runtime imports no composition root of mesh',
    path: core('runtime', 'root'),
    text: importing('@shoal/mesh'),
    reason: PORTS,
  },
  ...['base/system', 'mesh/browser-transport'].map((name) => ({
    name: `runtime's core does not import @shoal/${name}`,
    path: core('runtime', name.replace('/', '-')),
    text: importing(`@shoal/${name}`),
    reason: PLATFORM,
  })),
  {
    name: 'a composition root of mesh imports adapters and the runtime',
    path: 'packages/mesh/src/node.ts',
    text: `${importing('./adapters/any.ts')}export { runNode } from '@shoal/runtime/browser';\n`,
    reason: ALLOWED,
  },
];

const impurities: readonly (readonly [string, string, string])[] = [
  ['node', importing('node:fs'), PLATFORM],
  ['tfjs', importing('@tensorflow/tfjs'), PLATFORM],
  ['socket-io', importing('socket.io-client'), PLATFORM],
  ['simple-peer', importing('simple-peer'), PLATFORM],
  ['date', 'export const now = Date.now();', 'time is an argument'],
  ['new-date', 'export const now = new Date();', 'time is an argument'],
  ['global-date', 'export const now = globalThis.Date.now();', 'time is an argument'],
  ['timers', 'setTimeout(() => {}, 1);', 'time is an argument'],
  ['performance', 'export const now = performance.now();', 'time is an argument'],
  ['math-random', 'export const chance = Math.random();', 'chance is an argument'],
  ['crypto', 'export const id = crypto.randomUUID();', 'chance is an argument'],
  ['fetch', `export const page = fetch('https://example.org');`, 'no network'],
  ['process', 'export const home = process.env;', 'no platform'],
  ['console', `console.log('');`, 'no output'],
];

const outside = PURE_ROOMS.flatMap((room) => [
  ...impurities.flatMap(([file, text]) => [
    { path: core(room, file), text },
    { path: core(room, `${file}.test`), text },
  ]),
  { path: adapter(room), text: `import 'node:fs';\nexport const now = Date.now() + Math.random();\n` },
]);

const apps: readonly Case[] = [
  ['signaling', '@tensorflow/tfjs', 'knows nothing of tfjs'],
  ['gateway', '@shoal/scheduling', 'knows nothing of placement'],
  ['client', 'node:fs', 'A page has no Node'],
  ['cli', '../../signaling/src/compose.ts', 'Reach a neighbour by its name'],
].map(([name = '', from = '', reason = '']) => ({
  name: `${name} does not import ${from}`,
  path: app(name),
  text: importing(from),
  reason,
}));

const compiler: readonly (readonly [string, string, string])[] = [
  ['adapter', `export { system } from './adapters/system.ts';`, 'TS6307'],
  ['timer', 'setTimeout(() => {}, 1);', 'TS2304'],
  ['dom', 'export const link = new RTCPeerConnection();', 'TS2304'],
];

let folder: string;

async function lay(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

/** Standard output of a program of the repository, run in the copy. */
function run(name: string, args: readonly string[]): Promise<string> {
  const options = { cwd: folder, maxBuffer: 16 * 2 ** 20 };
  return new Promise((resolve) => {
    execFile(join(ROOT, 'node_modules/.bin', name), args, options, (_error, stdout) => resolve(stdout));
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-borders-'));
  for (const path of SETTINGS) await cp(join(ROOT, path), join(folder, path));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the linter keeps the borders', () => {
  /** What it said, by path; only of borders. */
  const refusals = new Map<string, string>();

  beforeAll(async () => {
    for (const { path, text } of [...oneWay, ...adapters, ...apps, ...outside]) await lay(path, text);
    const { diagnostics } = JSON.parse(await run('oxlint', ['--format', 'json'])) as {
      diagnostics: { message: string; help?: string; code?: string; filename: string }[];
    };
    for (const { message, help, code, filename } of diagnostics) {
      if (!code?.includes('no-restricted-')) continue;
      refusals.set(filename, `${refusals.get(filename) ?? ''}${message} ${help ?? ''}\n`);
    }
  }, DEADLINE_MS);

  const verdict = (path: string): string => refusals.get(path) ?? ALLOWED;

  it.each([...oneWay, ...adapters, ...apps])('$name', ({ path, reason }) => {
    expect(verdict(path)).toContain(reason);
  });

  it.each(PURE_ROOMS)('%s touches nothing outside, nor do its tests', (room) => {
    for (const [file, , reason] of impurities) {
      expect(verdict(core(room, file))).toContain(reason);
      expect(verdict(core(room, `${file}.test`))).toContain(reason);
    }
  });

  it.each(PURE_ROOMS)('%s has adapters that do', (room) => {
    expect(verdict(adapter(room))).toBe(ALLOWED);
  });
});

describe('the compiler keeps them too', () => {
  let errors: string;

  beforeAll(async () => {
    await rm(join(folder, 'packages/base/src'), { recursive: true, force: true });
    await lay('packages/base/src/adapters/system.ts', 'export const system = 1;\n');
    for (const [file, text] of compiler) await lay(`packages/base/src/${file}.ts`, text);
    errors = await run('tsc', ['-b', 'packages/base', '--pretty', 'false']);
  }, DEADLINE_MS);

  it.each(compiler)('%s in a core', (file, _text, code) => {
    const own = errors.split('\n').filter((line) => line.startsWith(`packages/base/src/${file}.ts`));
    expect(own.join('\n')).toContain(code);
  });
});
