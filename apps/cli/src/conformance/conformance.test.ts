/** Runs every clause of TensorFlow Serving's contract, and keeps the page that lists them true. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startScene, type Scene } from './scene.ts';
import { SECTIONS } from './sections.ts';
import { conformanceTable } from './table.ts';

const PAGE = fileURLToPath(new URL('../../../../docs/tensorflow-serving.md', import.meta.url));

let scene: Scene;
beforeAll(async () => {
  scene = await startScene();
}, 60_000);
afterAll(() => scene.close());

describe.each(SECTIONS)('$title', ({ clauses }) => {
  const checked = clauses.filter((clause) => 'check' in clause);
  test.each(checked)('$clause', { timeout: 60_000 }, async ({ check }) => {
    expect.hasAssertions();
    await check(scene);
  });
});

test('the page lists the clauses as they are', async () => {
  await expect(conformanceTable(SECTIONS)).toMatchFileSnapshot(PAGE);
});
