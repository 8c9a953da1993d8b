/** The machine that figures were measured on. */
import { availableParallelism, totalmem } from 'node:os';
import { readBrowserFacts } from './browser.ts';

export interface Machine {
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  /** null where there is no browser. */
  readonly browser: string | null;
  readonly gpu: string | null;
}

export async function readMachine(): Promise<Machine> {
  const facts = await readBrowserFacts().catch(() => ({ browser: null, gpu: null }));
  return {
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    ...facts,
  };
}
