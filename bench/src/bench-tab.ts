/** A real tab on the join page, joined by the button that users press. */
import type { Browser, BrowserContext, Page } from 'playwright';
import type { BenchMesh } from './bench-mesh.ts';

export interface BenchTab {
  readonly name: string;
  /** Joins anew, with what its browser has cached. */
  open(): Promise<void>;
  /** Leaves as a tab does that its user closes. */
  close(): Promise<void>;
}

/** A tab that may come and go; each has a browser context, and so a process, of its own. */
export async function makeTab(browser: Browser, mesh: BenchMesh, name: string, backend: string): Promise<BenchTab> {
  const context: BrowserContext = await browser.newContext();
  let page: Page | undefined;
  return {
    name,
    async open() {
      page = await context.newPage();
      await page.goto(`${mesh.url}/?backend=${backend}&name=${name}#invite=${mesh.invite}`);
      await page.getByTestId('start-button').click();
    },
    async close() {
      await page?.close();
    },
  };
}
