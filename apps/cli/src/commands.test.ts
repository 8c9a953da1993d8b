/** The commands as users type them, each in a process of its own, on a real mesh. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startCoordinator, type Coordinator } from '@shoal/signaling';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const SHOAL = fileURLToPath(new URL('../bin/shoal.mjs', import.meta.url));
const SAMPLES = fileURLToPath(new URL('../../../samples/models', import.meta.url));
const DOCUMENTED_ANSWER = '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}\n';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function shoal(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [SHOAL, ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

let folder: string;
let models: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-commands-'));
  models = join(folder, 'models');
  await cp(join(SAMPLES, 'half_plus_two'), join(models, 'half_plus_two'), { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a headless node', () => {
  let coordinator: Coordinator;
  let node: ChildProcess;

  beforeAll(async () => {
    const stateFolder = join(folder, 'state');
    coordinator = await startCoordinator({ host: '127.0.0.1', port: 0, modelsFolder: models, stateFolder });
    const invite = `${coordinator.url}/#invite=${await coordinator.invite('node', 60)}`;
    const cache = join(folder, 'cache');
    const flags = ['--name', 'headless', '--memory', '100MB', '--backend', 'wasm', '--cache', cache];
    node = spawn(process.execPath, [SHOAL, 'join', invite, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (node.stdout === null) throw new Error('no output');
    for await (const line of createInterface(node.stdout)) if (line.includes('half_plus_two version 1 is ready')) break;
    node.stdout.resume();
  });

  afterAll(async () => {
    node.kill('SIGKILL');
    await coordinator.close();
  });

  const link = async (): Promise<string> =>
    `${coordinator.url}/playground#token=${await coordinator.invite('client', 60)}`;

  test('answers shoal predict as TensorFlow Serving would print it, and says who computed', async () => {
    const data = '{"instances": [1.0, 2.0, 5.0]}';
    const ended = await shoal('predict', 'half_plus_two', '--mesh', await link(), '--data', data, '--trace');
    expect(ended).toMatchObject({ code: 0, stdout: DOCUMENTED_ANSWER });
    expect(ended.stderr).toMatch(/half_plus_two version 1, .* ms\n {2}rows 0-3: headless \(wasm, .* ms\)/);
  });

  test('a wrong input ends with the code, the field and the limit', async () => {
    const mesh = await link();
    const wrong = await shoal('predict', 'half_plus_two', '--mesh', mesh, '--data', '{"instances": ["a"]}');
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toMatch(
      /^shoal: BAD_INPUT: .*"a" Type: String is not of expected type: float.*expected float32/,
    );
    const unknown = await shoal('predict', 'nothing', '--mesh', mesh, '--data', '{}');
    expect(unknown.stderr).toMatch(/^shoal: MODEL_NOT_FOUND: .*"?nothing"?/);
  });

  test('a model registered meanwhile is picked up and served', async () => {
    await shoal('model', 'add', join(SAMPLES, 'digits/1'), '--name', 'digits', '--models', models);
    const image = JSON.stringify(Array.from({ length: 28 }, () => Array.from({ length: 28 }, () => [0])));
    const mesh = await link();
    const served = async (): Promise<Ended> =>
      shoal('predict', 'digits', '--mesh', mesh, '--data', `{"instances": [${image}]}`, '--deadline', '20000');
    await expect.poll(served, { timeout: 40_000, interval: 500 }).toMatchObject({ code: 0 });
  });

  test('SIGTERM ends it with code 0 after a goodbye', async () => {
    expect(coordinator.readiness().ready).toBe(true);
    node.kill('SIGTERM');
    const [code] = (await once(node, 'exit')) as [number];
    expect(code).toBe(0);
    await expect.poll(() => coordinator.readiness().ready).toBe(false);
  });
});

describe('shoal model', () => {
  test('quantize shrinks a model and says what it loses; what comes out is checked, registered and listed', async () => {
    const small = join(folder, 'small');
    const quantized = await shoal('model', 'quantize', join(SAMPLES, 'digits/1'), '--to', small);
    expect(quantized.code).toBe(0);
    const [, sizes, loss] = quantized.stdout.split('\n');
    expect(sizes).toBe('227.9 kB -> 60.5 kB (27 %)');
    const worst = Number(/worst (\S+),/.exec(loss ?? '')?.[1]);
    // Not free, and not ruinous: on noise, which digits was not trained for.
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(0.05);

    const repository = join(folder, 'repository');
    const added = await shoal('model', 'add', small, '--name', 'digits', '--models', repository);
    expect(added.stdout).toContain('digits version 1: 7 layers, 60.5 kB of weights, passed 3 of 3 golden vectors');
    const listed = await shoal('model', 'list', '--models', repository);
    expect(listed.stdout).toBe(
      'digits 1  layers-model, 7 layers, 60.5 kB, image float32[?,28,28,1] -> probabilities float32[?,10]\n',
    );
  });

  test('channel scales lose less than one scale a weight, float16 less than either', async () => {
    const worstOf = async (...flags: string[]): Promise<number> => {
      const to = join(folder, flags.join(''));
      const { stdout } = await shoal('model', 'quantize', join(SAMPLES, 'digits/1'), '--to', to, ...flags);
      return Number(/worst (\S+),/.exec(stdout)?.[1]);
    };
    const whole = await worstOf('--per-tensor');
    const channels = await worstOf('--dtype', 'uint8');
    const half = await worstOf('--dtype', 'float16');
    expect(channels).toBeLessThan(whole);
    expect(half).toBeLessThan(channels);
  });

  test('a model that gives other answers than its golden vectors is not registered', async () => {
    const broken = join(folder, 'broken');
    await cp(join(SAMPLES, 'digits/1'), broken, { recursive: true });
    await cp(join(SAMPLES, 'digits/serving.json'), join(broken, 'serving.json'));
    const weights = new Uint8Array(await readFile(join(broken, 'weights.bin')));
    await writeFile(join(broken, 'weights.bin'), weights.fill(0, 0, 400));
    const repository = join(folder, 'empty');
    const refused = await shoal('model', 'add', broken, '--name', 'digits', '--models', repository);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^shoal: SELF_TEST_FAILED: golden vector 1 of 3: output "probabilities"/);
    await expect(readdir(repository)).rejects.toThrow('ENOENT');
  });

  test('wrong flags and folders end with one line and exit code 2', async () => {
    const cases: [string[], string][] = [
      [['model', 'add', folder, '--name', 'x'], `shoal: ${folder} has no model.json\n`],
      [['model', 'add', folder], "shoal: required option '--name <name>' not specified; see shoal --help\n"],
      [['join', 'a.b.c', '--memory', 'lots'], 'shoal: --memory is "lots", expected a size such as 500MB or 2GiB\n'],
      [['join', 'a.b.c', '--power', '0'], 'shoal: --power is "0", expected a number above 0 and at most 1\n'],
      [['dance'], "shoal: unknown command 'dance'; see shoal --help\n"],
    ];
    for (const [args, line] of cases) expect(await shoal(...args)).toEqual({ code: 2, stdout: '', stderr: line });
  });
});
