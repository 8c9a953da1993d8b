/** The pages, built when they are missing or older than their sources. */
import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PAGES = join(ROOT, 'dist/pages');
const SOURCES = ['apps/client', 'packages'].map((folder) => join(ROOT, folder));

/** Builds the pages if need be and returns their folder. */
export async function ensurePages(log: (line: string) => void): Promise<string> {
  const built = await newest(PAGES);
  const changed = Math.max(...(await Promise.all(SOURCES.map(newest))));
  if (built > changed) return PAGES;
  log('building the pages');
  await build();
  return PAGES;
}

/**
 * In a process of its own: the bundler would leave a heap behind whose collection costs whoever serves afterwards some
 * milliseconds a request.
 */
async function build(): Promise<void> {
  const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
  const config = join(ROOT, 'vite.config.ts');
  await promisify(execFile)(process.execPath, [vite, 'build', '--config', config, '--logLevel', 'warn'], { cwd: ROOT });
}

/** The latest change in a folder, in milliseconds since the epoch; 0 if it does not exist. */
async function newest(folder: string): Promise<number> {
  let latestMs = 0;
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.endsWith('.test.ts')) continue;
      const path = join(folder, entry.name);
      latestMs = Math.max(latestMs, entry.isDirectory() ? await newest(path) : (await stat(path)).mtimeMs);
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
    throw error;
  }
  return latestMs;
}
