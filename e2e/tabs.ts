/** Real tabs: each in a browser context of its own, joined by the button that users press. */
import type { Browser, BrowserContext, Page } from '@playwright/test';
import type { Lab } from './lab/lab.ts';
import type { Server } from './server.ts';

declare global {
  var lab: Lab;
}

const JOIN_DEADLINE_MS = 120_000;

export interface TabOptions {
  readonly name: string;
  readonly backend: string;
  readonly memoryMiB?: number;
  /** Runs in the page before its own scripts. */
  readonly beforeAll?: () => void;
}

export interface Tab {
  readonly page: Page;
  readonly context: BrowserContext;
  /** As a tab's renderer dies of lack of memory: no goodbye. */
  crash(): Promise<void>;
  /** As a user closes a tab. */
  close(): Promise<void>;
}

/** Opens the join page and presses the button. */
export async function openTab(browser: Browser, server: Server, options: TabOptions): Promise<Tab> {
  const context = await browser.newContext();
  if (options.beforeAll !== undefined) await context.addInitScript(options.beforeAll);
  const page = await context.newPage();
  page.on('pageerror', (error) => process.stderr.write(`${options.name}: ${error.message}\n`));
  const link = new URL(server.joinLink);
  link.searchParams.set('backend', options.backend);
  link.searchParams.set('name', options.name);
  if (options.memoryMiB !== undefined) link.searchParams.set('memoryMiB', String(options.memoryMiB));
  await page.goto(link.href);
  await page.getByTestId('start-button').click();
  return {
    page,
    context,
    crash: async () => {
      const session = await context.newCDPSession(page);
      // The command never answers: the renderer that would is gone.
      session.send('Page.crash').catch(() => {});
      await page.waitForEvent('crash');
    },
    close: () => page.close(),
  };
}

/** Waits until as many tabs serve a model as are named. */
export async function untilServed(server: Server, model: string, names: readonly string[]): Promise<void> {
  const deadline = Date.now() + JOIN_DEADLINE_MS;
  for (;;) {
    const response = await fetch(`${server.url}/api/v1/nodes`, {
      headers: { authorization: `Bearer ${server.adminToken}` },
    });
    const { nodes } = (await response.json()) as {
      nodes: {
        name: string;
        code: string;
        reason: string;
        assignments: { model: string; state: string; reason: string }[];
      }[];
    };
    const ready = nodes.filter((node) =>
      node.assignments.some((held) => held.model === model && held.state === 'ready'),
    );
    const missing = names.filter((name) => !ready.some((node) => node.name === name));
    if (missing.length === 0) return;
    if (Date.now() > deadline) throw new Error(`${missing.join(', ')} do not serve ${model}: ${JSON.stringify(nodes)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A page of another origin with the client SDK, joined as a client. */
export async function openLab(browser: Browser, origin: string, server: Server): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => process.stderr.write(`lab: ${error.message}\n`));
  await page.goto(origin);
  await page.waitForFunction(() => 'lab' in globalThis);
  await page.evaluate(([url, token]) => globalThis.lab.join(url, token), [server.url, server.clientToken] as const);
  return page;
}
