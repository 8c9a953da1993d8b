/** What one node that has become slow does to the latency of requests: `p99_slow_node_ratio`. */
import { seededRandom } from '@shoal/base';
import type { MeshModel } from '@shoal/mesh/client';
import { runRows, type PacedMesh } from './paced-mesh.ts';
import { percentile } from './statistics.ts';

const NODES = 8;
const MS_PER_ROW = 40;
export const SLOWDOWN = 10;
/** Share of the healthy nodes' capacity that arrives. */
const LOAD = 0.5;
const REQUESTS = 500;
const WARM_UP_ROWS = 4 * NODES;

export const EQUAL_PACES: readonly number[] = Array.from({ length: NODES }, () => MS_PER_ROW);

export interface LatencyRun {
  readonly p99Ms: number;
  readonly duplicatedShare: number;
}

/**
 * Requests of one row arrive at random (a Poisson process, repeatable by its seed), whether or not earlier ones are
 * done. A node that is to be slow becomes so unannounced, after it has said how fast it is.
 */
export async function runLatency(mesh: PacedMesh, slow: boolean, seed: number): Promise<LatencyRun> {
  const [victim] = mesh.nodes;
  if (victim === undefined) throw new Error('the mesh has no node');
  // A client of its own for each run: what one learned of a slow node would help the next.
  const client = await mesh.client();
  try {
    await runRows(client.model, WARM_UP_ROWS);
    victim.pace.msPerRow = slow ? SLOWDOWN * MS_PER_ROW : MS_PER_ROW;
    const rowsBefore = mesh.rowsRun;
    const latenciesMs = await arrivals(client.model, seed);
    return {
      p99Ms: percentile(latenciesMs, 0.99),
      duplicatedShare: (mesh.rowsRun - rowsBefore) / REQUESTS - 1,
    };
  } finally {
    victim.pace.msPerRow = MS_PER_ROW;
    await client.close();
  }
}

/** Latencies, each from when the request was due. */
async function arrivals(model: MeshModel, seed: number): Promise<number[]> {
  const random = seededRandom(seed);
  const meanGapMs = MS_PER_ROW / NODES / LOAD;
  const latenciesMs: Promise<number>[] = [];
  let dueMs = performance.now();
  for (let i = 0; i < REQUESTS; i++) {
    dueMs -= meanGapMs * Math.log(1 - random.next());
    const restMs = dueMs - performance.now();
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    const startMs = dueMs;
    latenciesMs.push(runRows(model, 1).then(() => performance.now() - startMs));
  }
  return Promise.all(latenciesMs);
}
