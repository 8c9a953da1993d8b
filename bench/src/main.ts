/** `npm run bench -- <name> [--full] [--json] [--report]`, or `all` for the name; without one, the list. */
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';
import { BENCHES } from './benches.ts';
import { readMachine } from './machine.ts';
import { writeDocument, writeReport, type BenchResult } from './report.ts';
import { terminalTable } from './table.ts';

const EXIT_USAGE = 2;
const ALL = 'all';

class UsageError extends Error {}

interface Order {
  readonly benches: readonly Bench[];
  readonly full: boolean;
  readonly json: boolean;
  readonly report: boolean;
}

/** @throws UsageError that says what would have been right */
function readOrder(args: readonly string[]): Order {
  const { positionals, values } = parsed(args);
  const { full = false, json = false, report = false } = values;
  const [name, ...others] = positionals;
  if (others.length > 0) throw new UsageError(`one benchmark at a time, or "${ALL}"; got ${positionals.join(' ')}`);
  if (json && name === ALL) throw new UsageError('--json is of one benchmark: npm run bench -- <name> --json');
  const benches = name === ALL ? BENCHES : BENCHES.filter((bench) => bench.name === name);
  if (name !== undefined && benches.length === 0) {
    throw new UsageError(`no benchmark is named "${name}"; there are ${BENCHES.map((bench) => bench.name).join(', ')}`);
  }
  return { benches, full, json, report };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { full: { type: 'boolean' }, json: { type: 'boolean' }, report: { type: 'boolean' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function printList(): void {
  const width = Math.max(ALL.length, ...BENCHES.map((bench) => bench.name.length));
  for (const { name, summary } of BENCHES) console.log(`${name.padEnd(width)}  ${summary}`);
  console.log(`${ALL.padEnd(width)}  all of them; --report writes what was measured to docs/performance.md`);
}

async function run({ benches, full, json, report }: Order): Promise<void> {
  const machine = await readMachine();
  const results: BenchResult[] = [];
  for (const bench of benches) {
    const progress = (line: string): void => void process.stderr.write(`${bench.name}: ${line}\n`);
    const rows = await bench.run({ progress, full, document: writeDocument });
    results.push({ bench, rows });
    console.log(terminalTable(rows));
    if (json) console.log(JSON.stringify({ bench: bench.name, machine, rows }));
  }
  if (report) console.log(`written to ${await writeReport(machine, results, new Date())}`);
}

try {
  const order = readOrder(process.argv.slice(2));
  if (order.benches.length === 0) printList();
  else await run(order);
  // WebRTC keeps threads that would hold the process for a while.
  process.exit(0);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exit(EXIT_USAGE);
}
