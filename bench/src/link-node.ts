/** A real node in a process of its own, in a network namespace if one is named. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface LinkNodeOrder {
  readonly url: string;
  readonly invite: string;
  readonly name: string;
  readonly folder: string;
}

export interface LinkNode {
  /** Whether it writes float32 whatever it is allowed, or what it finds best. */
  write(how: 'f32' | 'free'): void;
  /** Bytes given to each of its links so far. */
  sentBytes(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

const ENTRY = fileURLToPath(new URL('./link-node-process.ts', import.meta.url));

export function startLinkNode(order: LinkNodeOrder, namespace: string | undefined): LinkNode {
  const command = [process.execPath, '--import', 'tsx', ENTRY, JSON.stringify(order)];
  const [file = '', ...args] = namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command];
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  return {
    write: (how) => void child.stdin.write(`${how}\n`),
    sentBytes: async () => {
      const answer = once(lines, 'line');
      child.stdin.write('sent\n');
      const [line] = (await answer) as [string];
      return JSON.parse(line) as number[];
    },
    stop: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
