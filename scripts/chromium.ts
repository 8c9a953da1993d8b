/** Which Chromium the end-to-end tests and the benchmarks drive, and with which flags. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright';

const NAMES_ON_PATH = ['chromium', 'chromium-browser', 'google-chrome'];
const VERSION_DEADLINE_MS = 20_000;

/** Nothing that talks to the world behind the test's back. Root has no user namespace for Chromium's sandbox. */
export const CHROMIUM_ARGS: readonly string[] = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Tabs in the background run as fast as the one in front. */
export const MEASUREMENT_ARGS: readonly string[] = [
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
];

/** WebGPU on SwiftShader: right and slow, on machines without a GPU. */
export const SOFTWARE_WEBGPU_ARGS: readonly string[] = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/**
 * The program to launch: `SHOAL_CHROMIUM`, else the first on PATH that runs, else Playwright's own.
 * Rejects where there is none; `npm test` installs one.
 */
export async function findChromium(): Promise<string> {
  const named = process.env['SHOAL_CHROMIUM'];
  if (named !== undefined && named !== '') {
    if ((await chromiumVersion(named)) === undefined)
      throw new Error(`SHOAL_CHROMIUM=${named} is no browser that runs`);
    return named;
  }
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = NAMES_ON_PATH.flatMap((name) => folders.map((folder) => join(folder, name)));
  for (const path of [...candidates, chromium.executablePath()]) {
    // Asked for its version, since a distribution may put a script of that name there that only says how to install one.
    if ((await chromiumVersion(path)) !== undefined) return path;
  }
  throw new Error('no Chromium found: set SHOAL_CHROMIUM to one, or let npm test install it');
}

/** As in `Chromium 156.0.8078.79`; undefined where the file is missing or does not run. */
export async function chromiumVersion(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return undefined;
  }
  return new Promise((resolve) => {
    execFile(path, ['--version'], { timeout: VERSION_DEADLINE_MS }, (error, stdout) => {
      resolve(error === null ? /\w[\w ]* \d+(\.\d+)+/.exec(stdout)?.[0] : undefined);
    });
  });
}
