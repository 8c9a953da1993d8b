/** `shoal serve`: start, say where everything is, run until told to stop. */
import closeWithGrace from 'close-with-grace';
import { renderUnicodeCompact } from 'uqr';
import { startShoal, type Shoal } from './compose.ts';
import { readServeOptions, type ServeFlags } from './options.ts';

const READY_POLL_MS = 100;
/** After this the links are printed in any case: what is not ready yet says why at `/readyz`. */
const READY_WAIT_MS = 45_000;
const CLOSE_MS = 8000;

export async function serve(flags: ServeFlags): Promise<void> {
  const options = readServeOptions(flags, process.env);
  const print = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  const shoal = await startShoal(options, (line) => print(`  ${line}`));
  closeWithGrace({ delay: CLOSE_MS }, async ({ err }) => {
    if (err !== undefined) process.stderr.write(`shoal: ${err.stack ?? err.message}\n`);
    print('closing');
    await shoal.close();
  });
  if (options.nodes > 0) await untilReady(shoal);
  for (const line of announcement(shoal)) print(line);
}

async function untilReady({ coordinator }: Shoal): Promise<void> {
  const until = performance.now() + READY_WAIT_MS;
  while (!coordinator.readiness().ready && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

function announcement({ coordinator, links }: Shoal): string[] {
  const { ready, reasons } = coordinator.readiness();
  return [
    '',
    renderUnicodeCompact(links.join),
    '',
    `join        ${links.join}`,
    `playground  ${links.playground}`,
    `admin       ${links.admin}`,
    `rest        ${links.rest}`,
    `grpc        ${links.grpc}`,
    '',
    `curl -d '{"instances": [1.0, 2.0, 5.0]}' ${links.rest}/v1/models/half_plus_two:predict`,
    '',
    ready ? 'all models are served' : `not served yet: ${reasons.join('; ')}`,
  ];
}
