/** The clauses as the page that users read. */
import type { Clause, Section } from './clause.ts';

const HEAD = `# TensorFlow Serving: what is kept

Every clause of TensorFlow Serving's contract and whether the gateway keeps it. Written by
\`apps/cli/src/conformance/conformance.test.ts\`, which runs each clause against a real mesh: a coordinator, nodes over WebRTC,
and the gateway on its two ports. "pass" is as TensorFlow Serving does; "differs" says what is done instead, tested as well.
After a change of clauses: \`npx vitest run apps/cli/src/conformance -u\`.
`;

export function conformanceTable(sections: readonly Section[]): string {
  const clauses = sections.flatMap((section) => section.clauses);
  const count = (verdict: string): number => clauses.filter((clause) => verdictOf(clause)[0] === verdict).length;
  const tally = `${clauses.length} clauses: ${count('pass')} pass, ${count('differs')} differ, ${count('not applicable')} do not apply.\n`;
  return [HEAD, tally, ...sections.map(sectionTable)].join('\n');
}

function sectionTable({ title, clauses }: Section): string {
  const rows = clauses.map((clause) => {
    const [verdict, why] = verdictOf(clause);
    return `| ${cell(clause.clause)} | ${verdict} | ${cell(why)} |`;
  });
  return `## ${title}\n\n| clause | here | why |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function verdictOf(clause: Clause): readonly [verdict: 'pass' | 'differs' | 'not applicable', why: string] {
  if ('differs' in clause) return ['differs', clause.differs];
  return 'notApplicable' in clause ? ['not applicable', clause.notApplicable] : ['pass', ''];
}

/** A bar would end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|');
