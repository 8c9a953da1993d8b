/** A mesh of paced nodes with a gateway before it. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGateway } from '@shoal/gateway';
import type { Mesh } from '@shoal/mesh/client';
import { startBenchMesh, untilServedBy } from './bench-mesh.ts';
import { startPacedNodes } from './paced-nodes.ts';

/** The version alone, without golden vectors: paced nodes have nothing to prove. */
const VERSION_FOLDER = fileURLToPath(new URL('../../samples/models/half_plus_two/1', import.meta.url));

export interface GatewayMeshPlan {
  readonly nodes: number;
  readonly fixedMs: number;
  readonly msPerRow: number;
  /** By model name, each `half_plus_two` by another name: its `serving.json`. */
  readonly models: Readonly<Record<string, object>>;
}

export interface GatewayMesh {
  readonly restUrl: string;
  /** The client that the gateway calls through. */
  readonly mesh: Mesh;
  close(): Promise<void>;
}

/** Settles once all models are served by all nodes. */
export async function startGatewayMesh(plan: GatewayMeshPlan): Promise<GatewayMesh> {
  const bench = await startBenchMesh({
    prepareModels: async (folder) => {
      for (const [name, serving] of Object.entries(plan.models)) {
        await mkdir(join(folder, name), { recursive: true });
        await cp(VERSION_FOLDER, join(folder, name, '1'), { recursive: true });
        await writeFile(join(folder, name, 'serving.json'), JSON.stringify(serving));
      }
    },
  });
  const names = Array.from({ length: plan.nodes }, (_, i) => `paced-${i}`);
  const nodes = startPacedNodes({ mesh: bench, names, fixedMs: plan.fixedMs, msPerRow: plan.msPerRow });
  const mesh = await bench.connect();
  for (const name of Object.keys(plan.models)) {
    await untilServedBy(await mesh.model(name), names);
  }
  const gateway = await startGateway({ mesh, models: () => Promise.resolve([]), host: '127.0.0.1', restPort: 0 });
  return {
    restUrl: gateway.restUrl,
    mesh,
    close: async () => {
      await gateway.close();
      await mesh.close();
      await nodes.stop();
      await bench.close();
    },
  };
}
