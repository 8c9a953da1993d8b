/** `docs/performance.md`: what was measured, on which machine, when. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import type { Machine } from './machine.ts';
import type { BenchRow } from './row.ts';
import { markdownTable } from './table.ts';

const DOCS = new URL('../../docs/', import.meta.url);
const FILE = fileURLToPath(new URL('performance.md', DOCS));

/** Writes a page of docs/ that a benchmark makes by itself. */
export async function writeDocument(file: string, text: string): Promise<void> {
  await writeFile(new URL(file, DOCS), text);
}

export interface BenchResult {
  readonly bench: Bench;
  readonly rows: readonly BenchRow[];
}

/** Writes the report and returns its path. */
export async function writeReport(machine: Machine, results: readonly BenchResult[], at: Date): Promise<string> {
  const { cores, memoryGiB, node, browser, gpu } = machine;
  const head = [
    '# Performance',
    'Written by `npm run bench -- all --report`; every figure is from that run. A ratio compares two things measured in' +
      ' turn in the same run; the value is the median over the rounds. Targets are printed, not enforced.',
    `Measured on ${at.toISOString().slice(0, 10)}: ${cores} cores, ${memoryGiB} GiB, Node.js ${node},` +
      ` ${browser ?? 'no browser'}, WebGPU adapter ${gpu ?? 'none'}.`,
  ];
  const sections = results.map(({ bench, rows }) => `## ${bench.name}\n\n${bench.summary}.\n\n${markdownTable(rows)}`);
  await writeFile(FILE, `${[...head, ...sections].join('\n\n')}\n`);
  return FILE;
}
