import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { chromiumVersion, findChromium } from './chromium.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-browsers-'));
  vi.stubEnv('SHOAL_CHROMIUM', '');
  vi.stubEnv('PATH', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** A program of that name that answers when asked for its version, and its path. */
async function program(name: string, lines: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${lines}\n`);
  await chmod(path, 0o755);
  return path;
}

describe('the browser to drive', () => {
  it('is the one that SHOAL_CHROMIUM names', async () => {
    await program('chromium', 'echo Chromium 1.2.3.4');
    const named = await program('other', 'echo Google Chrome 156.0.1.2 beta');
    vi.stubEnv('SHOAL_CHROMIUM', named);
    expect(await findChromium()).toBe(named);
    expect(await chromiumVersion(named)).toBe('Google Chrome 156.0.1.2');
  });

  it('is never another than the one that was named', async () => {
    await program('chromium', 'echo Chromium 1.2.3.4');
    vi.stubEnv('SHOAL_CHROMIUM', join(folder, 'missing'));
    await expect(findChromium()).rejects.toThrow(/SHOAL_CHROMIUM=.*missing/);
  });

  it('is the first on PATH that runs', async () => {
    await program('chromium-browser', 'echo install it by snap; exit 1');
    const runs = await program('google-chrome', 'echo Google Chrome 156.0.1.2');
    expect(await findChromium()).toBe(runs);
  });
});
