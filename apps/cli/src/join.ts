/** `shoal join`: this process becomes a node and serves until it is told to stop. */
import closeWithGrace from 'close-with-grace';
import { contribute } from '@shoal/mesh/node';
import { BACKENDS } from '@shoal/protocol';
import { oneOf, share, sizeBytes } from './flags.ts';

/** The node itself gives what is under way 2 s. */
const CLOSE_MS = 8000;

export interface JoinFlags {
  readonly url?: string;
  readonly name?: string;
  readonly memory?: string;
  readonly power?: string;
  readonly backend?: string;
  readonly cache?: string;
}

/** @param invite a join link or its token. @throws UsageError, MeshError */
export async function join(invite: string, flags: JoinFlags): Promise<void> {
  const memoryBytesMax = sizeBytes('--memory', flags.memory);
  const power = share('--power', flags.power);
  const backend = oneOf('--backend', flags.backend, BACKENDS);
  const options = {
    invite,
    ...(flags.url === undefined ? {} : { url: flags.url }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.cache === undefined ? {} : { cacheFolder: flags.cache }),
    ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }),
    ...(power === undefined ? {} : { power }),
    ...(backend === undefined ? {} : { backend }),
  };
  const node = await contribute(options, (starting) => {
    starting.onLog(({ atMs, code, text }) => print(`${new Date(atMs).toISOString()} ${code} ${text}`));
    closeWithGrace({ delay: CLOSE_MS }, async ({ err }) => {
      if (err !== undefined) process.stderr.write(`shoal: ${err.stack ?? err.message}\n`);
      await starting.stop();
    });
  });
  node.onChange(({ phase, code, reason }) => {
    if (phase !== 'failed') return;
    process.stderr.write(`shoal: ${code}: ${reason}\n`);
    process.exit(1);
  });
}

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
