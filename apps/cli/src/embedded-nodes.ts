/** Embedded nodes: the mesh serves before the first tab is open. One that dies is started again. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EmbeddedNodeOrder, EmbeddedNodeReport } from './embedded-node.ts';

const ENTRY = fileURLToPath(new URL('./embedded-node.ts', import.meta.url));
const RESTART_DELAY_MS = 1000;
const STOP_DEADLINE_MS = 4000;

export interface EmbeddedNodes {
  /** Ends them all: what is under way is finished first, within a few seconds. */
  stop(): Promise<void>;
}

export function startEmbeddedNodes(orders: readonly EmbeddedNodeOrder[], log: (line: string) => void): EmbeddedNodes {
  const children = new Map<string, ChildProcess>();
  let stopping = false;
  const start = (order: EmbeddedNodeOrder): void => {
    const child = fork(ENTRY, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    children.set(order.name, child);
    child.on('message', (report: EmbeddedNodeReport) => {
      log(report.type === 'log' ? `${order.name}: ${report.text}` : `${order.name} failed: ${report.message}`);
    });
    child.on('exit', (code) => {
      children.delete(order.name);
      if (stopping) return;
      log(`${order.name} ended with code ${code ?? 'none'}, starting it again`);
      setTimeout(() => {
        if (!stopping) start(order);
      }, RESTART_DELAY_MS);
    });
    child.send(order);
  };
  for (const order of orders) start(order);
  return {
    async stop() {
      stopping = true;
      await Promise.all([...children.values()].map(stopChild));
    },
  };
}

function stopChild(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
