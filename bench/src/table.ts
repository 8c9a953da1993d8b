/** Rows as text: a table for the terminal and one for Markdown. */
import type { BenchRow } from './row.ts';

const HEAD = ['metric', 'value', 'unit', 'target', 'min..max', 'baseline'];
/** Columns of figures stand flush right. */
const RIGHT: ReadonlySet<number> = new Set([1, 3]);

/** Three significant digits; whole numbers from 100 on. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

function cells({ metric, value, unit, target, better, min, max, baseline }: BenchRow): string[] {
  const bound = better === 'higher' ? '≥' : '≤';
  return [
    metric,
    value === null ? 'none' : formatFigure(value),
    unit,
    target === null ? '' : `${bound} ${formatFigure(target)}`,
    min === undefined || max === undefined ? '' : `${formatFigure(min)}..${formatFigure(max)}`,
    baseline,
  ];
}

/** An aligned table; a row's note stands below it. */
export function terminalTable(rows: readonly BenchRow[]): string {
  const table = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const lines = table.map((line) =>
    line
      .map((cell, column) =>
        RIGHT.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return lines
    .flatMap((line, i) => {
      const note = rows[i - 1]?.note;
      return note === undefined ? [line] : [line, `  ${note}`];
    })
    .join('\n');
}

export function markdownTable(rows: readonly BenchRow[]): string {
  const line = (columns: readonly string[]): string =>
    `| ${columns.map((column) => column.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = HEAD.map((_, column) => (RIGHT.has(column) ? '---:' : '---'));
  const body = rows.map((row) => {
    const [metric = '', ...others] = cells(row);
    const last = others.pop() ?? '';
    return line([`\`${metric}\``, ...others, row.note === undefined ? last : `${last}. ${row.note}`]);
  });
  return [line(HEAD), line(rule), ...body].join('\n');
}
