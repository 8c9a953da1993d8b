/** `npm run check`: the quick half. Stops at the first category that fails. */
import { STATIC_STEPS } from './static-steps.ts';
import { runStep, type Step } from './step.ts';

const SECONDS_MAX = 90;

const steps: readonly Step[] = [
  ...STATIC_STEPS,
  { name: 'unit', command: ['vitest', 'run', '--project', 'unit', '--reporter', 'dot'] },
];

let seconds = 0;
for (const step of steps) {
  const result = await runStep(step);
  seconds += result.seconds;
  if (!result.passed) {
    console.log(`\ncheck failed at ${step.name}: ${step.command.join(' ')}`);
    process.exit(1);
  }
}
const late = seconds > SECONDS_MAX ? `, more than the ${SECONDS_MAX} s that it may take on two cores` : '';
console.log(`\ncheck passed in ${seconds.toFixed(1)} s${late}`);
