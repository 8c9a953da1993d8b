/** What the mesh itself costs a small request: `one_node_overhead_ms`. */
import { runRows, type PacedMesh } from './paced-mesh.ts';

const WARM_UP = 100;
const REQUESTS = 500;

/** Latencies of requests of one row, one after another, through a mesh whose nodes take no time to compute. */
export async function overheadsMs(mesh: PacedMesh): Promise<number[]> {
  const { model, close } = await mesh.client();
  const latenciesMs: number[] = [];
  for (let i = 0; i < WARM_UP + REQUESTS; i++) {
    const startMs = performance.now();
    await runRows(model, 1);
    latenciesMs.push(performance.now() - startMs);
  }
  await close();
  return latenciesMs.slice(WARM_UP);
}
