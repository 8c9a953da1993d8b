/** What can be said of the sources without running them. */
import type { Step } from './step.ts';

export const STATIC_STEPS: readonly Step[] = [
  { name: 'format', command: ['oxfmt', '--check', '.'] },
  { name: 'lint', command: ['oxlint'] },
  { name: 'types', command: ['tsc', '-b'] },
];
