/** The product as users start it: `shoal serve` in a process of its own, found by the lines it prints. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url));
const START_DEADLINE_MS = 90_000;

export interface Server {
  readonly url: string;
  readonly rest: string;
  readonly grpc: string;
  readonly joinLink: string;
  readonly clientToken: string;
  readonly adminToken: string;
  readonly playground: string;
  readonly admin: string;
  /** The line that users are told to try. */
  readonly curl: string;
  readonly modelsFolder: string;
  readonly stateFolder: string;
  readonly process: ChildProcess;
  readonly lines: readonly string[];
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly nodes: number;
  readonly origins?: string;
  /** Serves this repository instead of the sample models. */
  readonly models?: string;
}

export async function startServer({ nodes, origins = '', models }: ServerOptions): Promise<Server> {
  const stateFolder = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
  const args = ['--import', 'tsx', MAIN, 'serve', '--port', '0', '--rest-port', '0', '--grpc-port', '0'];
  const child = spawn(
    process.execPath,
    [
      ...args,
      '--nodes',
      String(nodes),
      '--state',
      stateFolder,
      '--origins',
      origins,
      ...(models === undefined ? [] : ['--models', models]),
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  // A test that failed stops nothing.
  const stopAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', stopAtExit);
  child.once('exit', () => process.off('exit', stopAtExit));
  const lines: string[] = [];
  const said = new Map<string, string>();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no start in ${START_DEADLINE_MS} ms:\n${lines.join('\n')}`)),
      START_DEADLINE_MS,
    );
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code}:\n${lines.join('\n')}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      const [word = ''] = line.split(' ');
      said.set(word, line);
      if (word !== 'curl') return;
      clearTimeout(timer);
      resolve();
    });
  });
  const address = (word: string): string => said.get(word)?.split(' ').at(-1) ?? '';
  const fragment = (word: string): string => address(word).split('=').at(-1) ?? '';
  return {
    url: new URL(address('join')).origin,
    rest: address('rest'),
    grpc: address('grpc'),
    joinLink: address('join'),
    playground: address('playground'),
    admin: address('admin'),
    clientToken: fragment('playground'),
    adminToken: fragment('admin'),
    curl: said.get('curl') ?? '',
    modelsFolder: models ?? join(stateFolder, 'models'),
    stateFolder,
    process: child,
    lines,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null) child.kill('SIGTERM');
      else return;
      await ended;
      await rm(stateFolder, { recursive: true, force: true });
    },
  };
}
