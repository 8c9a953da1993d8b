/** Shards from tab to tab: the coordinator sends each once, and what came is kept over a reload. */
import { expect, test, type Page } from '@playwright/test';
import { startServer, type Server } from './server.ts';
import { openTab, untilServed } from './tabs.ts';

let server: Server;
test.beforeAll(async () => {
  server = await startServer({ nodes: 0 });
});
test.afterAll(() => server?.stop());

/** How often the most sent shard of the model has left the coordinator. */
async function copiesMax(model: string): Promise<number | undefined> {
  const headers = { authorization: `Bearer ${server.adminToken}` };
  const { models } = (await (await fetch(`${server.url}/api/v1/shards`, { headers })).json()) as {
    models: { model: string; copiesMax: number }[];
  };
  return models.find((each) => each.model === model)?.copiesMax;
}

const bytesFrom = (page: Page) =>
  page.getByTestId('node-models').getByRole('row', { name: 'mobilenet_v2' }).getByTestId('bytes-from');

test('a second tab takes the model from the first, and after a reload from its own cache', async ({ browser }) => {
  const names = ['gil', 'hana'];
  const gil = await openTab(browser, server, { name: 'gil', backend: 'wasm' });
  await untilServed(server, 'mobilenet_v2', names.slice(0, 1));
  const hana = await openTab(browser, server, { name: 'hana', backend: 'wasm' });
  await untilServed(server, 'mobilenet_v2', names);
  await expect(bytesFrom(gil.page)).toHaveText(/^2\.6 MiB from the coordinator$/);
  await expect(bytesFrom(hana.page)).toHaveText(/^2\.6 MiB from a neighbour$/);
  // Once, unless a request had to be repeated.
  expect(await copiesMax('mobilenet_v2/1')).toBeLessThanOrEqual(2);
  await hana.page.reload();
  await hana.page.getByTestId('start-button').click();
  await untilServed(server, 'mobilenet_v2', names);
  await expect(bytesFrom(hana.page)).toHaveText(/^2\.6 MiB kept from before$/);
  for (const tab of [gil, hana]) await tab.context.close();
});
