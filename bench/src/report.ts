/** `docs/performance.md`: a section a benchmark, each with what was measured, on which machine, when. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import type { Machine } from './machine.ts';
import type { BenchRow } from './row.ts';
import { markdownTable } from './table.ts';

const DOCS = new URL('../../docs/', import.meta.url);
const FILE = fileURLToPath(new URL('performance.md', DOCS));

const HEAD = [
  '# Performance',
  'Written by `npm run bench -- <name> --report`, a section a run; `all` writes them all. A ratio compares two things measured in' +
    ' turn in the same run; the value is the median over the rounds. Targets are printed, not enforced.',
];

/** Writes a page of docs/ that a benchmark makes by itself. */
export async function writeDocument(file: string, text: string): Promise<void> {
  await writeFile(new URL(file, DOCS), text);
}

export interface BenchResult {
  readonly bench: Bench;
  readonly rows: readonly BenchRow[];
}

/** Writes the sections of these results, leaves the others as they are, and returns the report's path. */
export async function writeReport(machine: Machine, results: readonly BenchResult[], at: Date): Promise<string> {
  const before = await readFile(FILE, 'utf8').catch(() => '');
  const sections = new Map<string, string>();
  for (const section of before.split(/^## /m).slice(1)) {
    sections.set(section.slice(0, section.indexOf('\n')), section.trim());
  }
  const { cores, memoryGiB, node, browser, gpu } = machine;
  const measured =
    `Measured on ${at.toISOString().slice(0, 10)}: ${cores} cores, ${memoryGiB} GiB, Node.js ${node},` +
    ` ${browser ?? 'no browser'}, WebGPU adapter ${gpu ?? 'none'}.`;
  for (const { bench, rows } of results) {
    sections.set(bench.name, [bench.name, `${bench.summary}.`, measured, markdownTable(rows)].join('\n\n'));
  }
  const sorted = [...sections.keys()].toSorted().map((name) => `## ${sections.get(name) ?? ''}`);
  await writeFile(FILE, `${[...HEAD, ...sorted].join('\n\n')}\n`);
  return FILE;
}
