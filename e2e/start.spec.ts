/** What a newcomer meets: one command, the lines it prints, the pages behind them, and mistakes at the keyboard. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AxeBuilder } from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import { startServer, type Server } from './server.ts';
import { openTab, untilServed } from './tabs.ts';

const MAIN = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url));
const run = promisify(execFile);

test.describe('shoal serve', () => {
  test('answers the printed curl line before any tab is open', async () => {
    const server = await startServer({ nodes: 2 });
    try {
      for (const word of ['join', 'playground', 'admin', 'rest']) {
        expect(
          server.lines.filter((line) => line.startsWith(`${word} `) && /\shttps?:\/\/\S+$/.test(line)),
        ).toHaveLength(1);
      }
      expect(server.grpc).toMatch(/^localhost:\d+$/);
      const { stdout } = await run('bash', ['-c', `${server.curl} -s`]);
      expect(JSON.parse(stdout)).toEqual({ predictions: [2.5, 3, 4.5] });
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    } finally {
      await server.stop();
    }
  });

  test('with --nodes 0 refuses by 503 and a reason, and serves as soon as a tab has joined', async ({ browser }) => {
    const server = await startServer({ nodes: 0 });
    try {
      const ask = (): Promise<Response> =>
        fetch(`${server.rest}/v1/models/half_plus_two:predict`, {
          method: 'POST',
          body: '{"instances": [1.0, 2.0, 5.0]}',
        });
      const refused = await ask();
      expect(refused.status).toBe(503);
      expect(await refused.json()).toEqual({ error: expect.stringContaining('NO_CAPACITY') });
      const tab = await openTab(browser, server, { name: 'first', backend: 'wasm' });
      await untilServed(server, 'half_plus_two', ['first']);
      const served = await ask();
      expect(served.status).toBe(200);
      expect(await served.json()).toEqual({ predictions: [2.5, 3, 4.5] });
      await tab.context.close();
    } finally {
      await server.stop();
    }
  });

  test('says in one line what is wrong with a flag, a port or a folder, and ends with code 2', async () => {
    const state = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    for (const [flags, said] of [
      [['--port', 'eighty'], '--port is "eighty", expected a whole number from 0 to 65535'],
      [['--nodes', '1000'], '--nodes is "1000"'],
      [['--colour'], 'unknown option'],
      [['--models', '/nowhere'], '--models /nowhere cannot be read'],
      [['--origins', 'app.example'], '--origins has "app.example"'],
      [['--port', String(port), '--nodes', '0'], `--port ${port} is taken by another program`],
      [['--port', '0', '--rest-port', String(port), '--nodes', '0'], `--rest-port ${port} is taken by another program`],
      [
        ['--port', '0', '--rest-port', '0', '--grpc-port', String(port), '--nodes', '0'],
        `--grpc-port ${port} is taken by another program`,
      ],
    ] as const) {
      const { status, stderr } = spawnSync(
        process.execPath,
        ['--import', 'tsx', MAIN, 'serve', '--state', state, ...flags],
        {
          encoding: 'utf8',
        },
      );
      expect(status, stderr).toBe(2);
      expect(stderr).toContain(said);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
    taken.close();
    await rm(state, { recursive: true });
  });
});

test.describe('the pages', () => {
  let server: Server;
  test.beforeAll(async () => {
    server = await startServer({ nodes: 1 });
  });
  test.afterAll(() => server.stop());

  const accessible = async (page: Page): Promise<void> => {
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
  };

  test('join: nothing starts without the click; then the tab proves itself, waits, and leaves with thanks', async ({
    browser,
  }) => {
    const page = await (await browser.newContext()).newPage();
    const link = new URL(server.joinLink);
    link.searchParams.set('backend', 'wasm');
    await page.goto(link.href);
    await expect(page.getByTestId('start-button')).toBeVisible();
    await accessible(page);
    expect(page.url()).not.toContain('invite=');
    await page.getByTestId('start-button').focus();
    await page.keyboard.press('Enter');
    await expect(page.getByTestId('state-word')).toHaveText(/waiting/i, { timeout: 60_000 });
    await expect(page.getByTestId('backend-name')).toHaveText(/wasm/);
    await accessible(page);
    await page.getByTestId('stop-button').click();
    await expect(page.getByTestId('goodbye')).toBeVisible({ timeout: 10_000 });
    await page.context().close();
  });

  test('join: an altered invite is refused with its reason', async ({ browser }) => {
    const page = await (await browser.newContext()).newPage();
    const link = new URL(server.joinLink);
    link.searchParams.set('backend', 'wasm');
    link.hash = link.hash.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    await page.goto(
      link.href.replace(/invite=(.{40})./, (_whole, head: string) => `invite=${head}~`.replace('~', 'A')),
    );
    await page.getByTestId('start-button').click();
    await expect(page.getByTestId('error-code')).toHaveText(/INVITE_INVALID/, { timeout: 60_000 });
    await page.context().close();
  });

  test('playground: a sample picture is classified, and the page says who computed it', async ({ browser }) => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(server.playground);
    await page.getByTestId('model-select').selectOption({ label: 'mobilenet_v2, version 1' });
    await page.getByTestId('sample-cat').click();
    await page.getByTestId('predict-button').click();
    await expect(page.getByTestId('result-row').first()).toContainText('Neutral', { timeout: 30_000 });
    await expect(page.getByTestId('computed-by')).toContainText('embedded-1');
    await accessible(page);
    await page.context().close();
  });

  test('admin: the list of nodes names each with its state, and who has no token sees nothing', async ({ browser }) => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(server.admin);
    await expect(page.getByTestId('node-row')).toHaveCount(1);
    await expect(page.getByTestId('node-row')).toContainText('embedded-1');
    await expect(page.getByTestId('summary')).toContainText(/served/i);
    await accessible(page);
    await page.context().close();
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(`${server.url}/admin`);
    await expect(stranger.getByTestId('nodes-table')).toHaveCount(0);
    await stranger.context().close();
  });
});
