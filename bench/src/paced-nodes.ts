/** Paced nodes in a process of their own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BenchMesh } from './bench-mesh.ts';

export interface PacedNodesOrder {
  readonly mesh: Pick<BenchMesh, 'url' | 'invite' | 'folder'>;
  readonly names: readonly string[];
  readonly fixedMs: number;
  readonly msPerRow: number;
}

export interface PacedNodes {
  /** They leave, and the process ends. */
  stop(): Promise<void>;
}

const ENTRY = fileURLToPath(new URL('./paced-node-process.ts', import.meta.url));

export function startPacedNodes(order: PacedNodesOrder): PacedNodes {
  const { url, invite, folder } = order.mesh;
  const args = ['--import', 'tsx', ENTRY, JSON.stringify({ ...order, mesh: { url, invite, folder } })];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  return {
    stop: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
