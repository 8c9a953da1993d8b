/** HTTP load by autocannon, in a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface HttpLoad {
  readonly url: string;
  /** Of every request, a POST. */
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
  /** Of all connections together, each sending its share at the start of a second; left out: as fast as answers come. */
  readonly requestsPerSecond?: number;
}

export interface HttpLoadResult {
  /** Of every request that was answered with 200. */
  readonly latenciesMs: readonly number[];
  /** Connections that failed, timeouts, and answers other than 200. */
  readonly errors: number;
  readonly seconds: number;
}

const ENTRY = fileURLToPath(new URL('./http-load-process.ts', import.meta.url));
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export async function httpLoad(load: HttpLoad): Promise<HttpLoadResult> {
  const running = promisify(execFile)(process.execPath, ['--import', 'tsx', ENTRY], { maxBuffer: OUTPUT_BYTES_MAX });
  running.child.stdin?.end(JSON.stringify(load));
  return JSON.parse((await running).stdout) as HttpLoadResult;
}
