/** `shoal bench`: the benchmarks of this checkout, in a process of their own, so that nothing of the command is measured. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('../../../bench/src/main.ts', import.meta.url));

export async function bench(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', ENTRY, ...args], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
