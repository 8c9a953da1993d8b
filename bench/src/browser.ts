/** The browser that benchmarks open tabs in, and what it says of itself. */
import { chromium, type Browser } from 'playwright';
import { CHROMIUM_ARGS, findChromium, MEASUREMENT_ARGS, SOFTWARE_WEBGPU_ARGS } from '../../scripts/chromium.ts';

/** @throws Error when neither the system nor Playwright has a Chromium */
export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: await findChromium(),
    args: [...CHROMIUM_ARGS, ...MEASUREMENT_ARGS, ...SOFTWARE_WEBGPU_ARGS],
  });
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
