/** A page that predicts a thousand times is as light as before, and so is the tab that computed. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { heapBytes } from './heap.ts';
import { startLab } from './lab-server.ts';
import { startServer } from './server.ts';
import { openLab, openTab, untilServed } from './tabs.ts';

/** Half of what one object for each prediction would take, a leaked message far more. */
const GROWTH_BYTES_MAX = 50_000;

/** Alone: loads and surveys of larger models would come and go while the heap is measured. */
const HALF_PLUS_TWO = fileURLToPath(new URL('../samples/models/half_plus_two', import.meta.url));

test('1,000 predictions leave tensors and heap where they were, in client and node', async ({ browser }) => {
  const lab = await startLab();
  const models = await mkdtemp(join(tmpdir(), 'shoal-leaks-'));
  await cp(HALF_PLUS_TWO, join(models, 'half_plus_two'), { recursive: true });
  const server = await startServer({ nodes: 0, origins: lab.origin, models });
  const tab = await openTab(browser, server, { name: 'solo', backend: 'wasm' });
  await untilServed(server, 'half_plus_two', ['solo']);
  const page = await openLab(browser, lab.origin, server);
  await page.evaluate(() => globalThis.lab.leaks('half_plus_two', 200));
  const [clientBefore, nodeBefore] = [await heapBytes(page), await heapBytes(tab.page)];
  const { tensorsBefore, tensorsAfter } = await page.evaluate(() => globalThis.lab.leaks('half_plus_two', 1000));
  expect(tensorsAfter).toBe(tensorsBefore);
  const grown = { client: (await heapBytes(page)) - clientBefore, node: (await heapBytes(tab.page)) - nodeBefore };
  test.info().annotations.push({
    type: 'measured',
    description: `heap grew by ${grown.client} bytes in the client, ${grown.node} in the node`,
  });
  expect(grown.client).toBeLessThan(GROWTH_BYTES_MAX);
  expect(grown.node).toBeLessThan(GROWTH_BYTES_MAX);
  await page.context().close();
  await tab.context.close();
  await server.stop();
  await lab.close();
  await rm(models, { recursive: true });
});
