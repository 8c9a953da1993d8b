/** The browser that benchmarks open tabs in, and what it says of itself. */
import { access, constants } from 'node:fs/promises';
import { chromium, type Browser } from 'playwright';

const ARGS = [
  // The sandbox refuses to run as root, as containers do.
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  // Tabs compute at full speed though nobody looks at them.
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
];

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** @throws Error when neither Playwright nor the system has a Chromium */
export async function openBrowser(): Promise<Browser> {
  const executablePath = await findChromium();
  return chromium.launch({ executablePath, args: ARGS });
}

async function findChromium(): Promise<string> {
  const places = [process.env['SHOAL_CHROMIUM'] ?? '', ...PLACES, chromium.executablePath()];
  for (const place of places) {
    try {
      await access(place, constants.X_OK);
      return place;
    } catch {
      // The next place may have it.
    }
  }
  throw new Error(`no Chromium at ${places.filter((place) => place !== '').join(', ')}`);
}

export interface BrowserFacts {
  /** Name and major version, such as `Chromium 156`. */
  readonly browser: string;
  /** Vendor and architecture of its WebGPU adapter, or `none`. */
  readonly gpu: string;
}

export async function readBrowserFacts(): Promise<BrowserFacts> {
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    // WebGPU is for secure contexts: a page of a made-up https origin is one.
    await page.route('https://bench.invalid/', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
    await page.goto('https://bench.invalid/');
    const gpu = await page.evaluate(async () => {
      const adapter = await navigator.gpu?.requestAdapter();
      return adapter ? `${adapter.info.vendor} ${adapter.info.architecture}`.trim() : 'none';
    });
    return { browser: `Chromium ${browser.version().split('.')[0] ?? ''}`, gpu };
  } finally {
    await browser.close();
  }
}
