/** Runs one named command to its end or its deadline, and says in one line how it went. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = fileURLToPath(new URL('../node_modules/.bin', import.meta.url));
const DEADLINE_MS = 10 * 60_000;

export interface Step {
  readonly name: string;
  /** Program and arguments; programs of `node_modules/.bin` are found by their name. */
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Prints while it runs; otherwise only what a failing step wrote, once it has ended. */
  readonly live?: boolean;
  readonly deadlineMs?: number;
}

export interface StepResult {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

/** Never rejects: a program that is missing, killed or late is a step that did not pass. */
export async function runStep({
  name,
  command,
  env,
  live = false,
  deadlineMs = DEADLINE_MS,
}: Step): Promise<StepResult> {
  if (live) console.log(`\n--- ${name}`);
  const startMs = performance.now();
  const [program, ...args] = command;
  // A group of its own, so that the deadline and Ctrl-C also end what the program has started.
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env, PATH: `${BIN}:${process.env['PATH'] ?? ''}` },
    stdio: live ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
  const endGroup = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  };
  const interrupt = (): void => {
    endGroup();
    process.exit(130);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  let reason = '';
  const timer = setTimeout(() => {
    reason = `no end within ${deadlineMs / 1000} s`;
    endGroup();
  }, deadlineMs);
  const passed = await new Promise<boolean>((resolve) => {
    child.once('error', (error) => {
      reason = error.message;
      resolve(false);
    });
    child.once('close', (code) => resolve(code === 0));
  });
  clearTimeout(timer);
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  const seconds = (performance.now() - startMs) / 1000;
  if (!passed) process.stdout.write(Buffer.concat(output));
  console.log(
    `${passed ? 'passed' : 'FAILED'}  ${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s  ${reason}`.trimEnd(),
  );
  return { name, passed, seconds };
}
