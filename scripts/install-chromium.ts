/** Brings a Chromium to a machine that has none. */
import { access } from 'node:fs/promises';
import { chromiumVersion, findChromium } from './chromium.ts';
import { runStep } from './step.ts';

/** The browser to use, installed if need be; says which it is. Rejects where it can be neither found nor installed. */
export async function ensureChromium(): Promise<string> {
  const path = await findChromium().catch(async (error: unknown) => {
    // A browser that somebody named is a mistake to mend, not to work around.
    if (process.env['SHOAL_CHROMIUM']) throw error;
    await install();
    return findChromium();
  });
  console.log(`browser: ${await chromiumVersion(path)} at ${path}`);
  return path;
}

async function install(): Promise<void> {
  const hasApt = await access('/usr/bin/apt-get').then(
    () => true,
    () => false,
  );
  if (process.getuid?.() === 0 && hasApt) {
    const installed = await runStep({
      name: 'apt-get',
      command: ['sh', '-c', 'apt-get update && apt-get install -y --no-install-recommends chromium fonts-liberation'],
      env: { DEBIAN_FRONTEND: 'noninteractive' },
      live: true,
    });
    // Ubuntu's package is a script that asks for snap: then Playwright's build it is.
    const works = await findChromium().then(
      () => true,
      () => false,
    );
    if (installed.passed && works) return;
  }
  await runStep({ name: 'browser', command: ['playwright', 'install', '--with-deps', 'chromium'], live: true });
}
