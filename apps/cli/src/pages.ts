/** The pages, built when they are missing or older than their sources. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PAGES = join(ROOT, 'dist/pages');
const SOURCES = ['apps/client', 'packages'].map((folder) => join(ROOT, folder));

/** Builds the pages if need be and returns their folder. */
export async function ensurePages(log: (line: string) => void): Promise<string> {
  const built = await newest(PAGES);
  const changed = Math.max(...(await Promise.all(SOURCES.map(newest))));
  if (built > changed) return PAGES;
  log('building the pages');
  const { build } = await import('vite');
  await build({ configFile: join(ROOT, 'vite.config.ts'), logLevel: 'warn' });
  return PAGES;
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
