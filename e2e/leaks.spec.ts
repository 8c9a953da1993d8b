/** A page that predicts a thousand times is as light as before, and so is the tab that computed. */
import { expect, test, type Page } from '@playwright/test';
import { startLab } from './lab-server.ts';
import { startServer } from './server.ts';
import { openLab, openTab, untilServed } from './tabs.ts';

/** Bytes of the heap after a full collection. */
async function heapBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize;
}

test('1,000 predictions leave tensors and heap where they were, in client and node', async ({ browser }) => {
  const lab = await startLab();
  const server = await startServer({ nodes: 0, origins: lab.origin });
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
  // A leak of one message each would be above 1,000 bytes a prediction.
  expect(grown.client).toBeLessThan(500_000);
  expect(grown.node).toBeLessThan(500_000);
  await page.context().close();
  await tab.context.close();
  await server.stop();
  await lab.close();
});
