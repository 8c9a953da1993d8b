/** The whole table of codecs, models and cuts as a page. */
import type { CutCases } from './codec-measure.ts';
import type { Subject } from './codec-subjects.ts';

const HEAD = `# Codecs, cut by cut

Written by \`npm run bench -- codec --full\`: at the legal cuts of the sample models, the bytes of each codec over those of float32, and
what it does to the model's output: relative L2 against float32, and in bold in how many rows the largest output is another
one, if in any. How fast codecs are: [performance](performance.md).`;

/** Of one model. */
export interface CodecTable {
  readonly subject: Subject;
  readonly cuts: readonly CutCases[];
}

export function codecTables(tables: readonly CodecTable[]): string {
  return `${[HEAD, ...tables.map(section)].join('\n\n')}\n`;
}

function section({ subject: { name, asked }, cuts }: CodecTable): string {
  const codecs = cuts[0]?.cases.map(({ codec }) => codec) ?? [];
  const rows = cuts.map(({ position, crossing, cases }) => {
    const cells = cases.map(({ bytesRatio, relativeL2, top1 }) => {
      const error = relativeL2 === 0 ? '0' : relativeL2.toExponential(0);
      return `${bytesRatio.toFixed(3)} ${error}${top1 === 1 ? '' : ` **${(100 * (1 - top1)).toFixed(1)} %**`}`;
    });
    return `| ${[position, crossing, ...cells].join(' | ')} |`;
  });
  const head = ['before layer', 'what crosses', ...codecs];
  return [
    `## ${name}`,
    '',
    `${cuts.length} cuts; ${asked}.`,
    '',
    `| ${head.join(' | ')} |`,
    `|---:|---|${codecs.map(() => '---|').join('')}`,
    ...rows,
  ].join('\n');
}
