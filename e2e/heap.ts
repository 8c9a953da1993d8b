/** What a page's scripts keep alive, read from a heap snapshot. */
import type { Page } from '@playwright/test';

/** Fields of V8's heap snapshot format that are read here. */
interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly (readonly string[])[] };
  };
  /** One row of `node_fields` after another. */
  readonly nodes: readonly number[];
}

/**
 * Kinds that are not data of the page's scripts: what V8 compiled of them, which grows in steps of some 400 KB as functions
 * become hot, the shapes it learned, and what the browser itself holds for the page.
 */
const KINDS_NOT_DATA: ReadonlySet<string> = new Set(['code', 'object shape', 'native', 'hidden', 'synthetic']);

/** Bytes of all objects, arrays, strings, closures and numbers that are reachable after a full collection. */
export async function heapBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  const chunks: string[] = [];
  session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk));
  await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
  await session.detach();
  const { snapshot, nodes } = JSON.parse(chunks.join('')) as HeapSnapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [kindAt, sizeAt] = [fields.indexOf('type'), fields.indexOf('self_size')];
  let bytes = 0;
  for (let row = 0; row < nodes.length; row += fields.length) {
    const kind = types[kindAt]?.[nodes[row + kindAt] ?? -1];
    if (kind === undefined) throw new Error('a heap snapshot names a kind that it does not list');
    if (!KINDS_NOT_DATA.has(kind)) bytes += nodes[row + sizeAt] ?? 0;
  }
  return bytes;
}
