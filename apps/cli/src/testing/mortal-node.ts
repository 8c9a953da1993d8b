/**
 * Entry of a node in a process of its own that kills itself, without a word to anybody, at a chosen moment of its work:
 * real parts throughout, with an ear at the executor and at the wire.
 */
import type { Connection, Transport } from '@shoal/mesh/link';
import { NodeAgent, type Executor, type NodeParts } from '@shoal/runtime';
import { headlessParts } from '@shoal/runtime/headless';

/** Before the stage's model runs, while it runs, when it has run and nothing was said of it, and with its outcome half sent. */
export const MOMENTS = ['before', 'during', 'after', 'sending'] as const;
export type Moment = (typeof MOMENTS)[number];

/** When to die: at this moment of its so-manieth run from now. The child says 'armed' once it knows. */
export interface Death {
  readonly moment: Moment;
  readonly runs: number;
}

export interface MortalOrder {
  readonly url: string;
  readonly invite: string;
  readonly name: string;
  readonly cacheFolder: string;
  readonly memoryBytesMax: number;
}

/** A packet of tensors, as against small words. */
const LARGE_PACKET_BYTES = 8192;
const MEBIBYTE = 2 ** 20;

let death: Death | null = null;
let runsLeft = 0;

const reach = (moment: Moment): void => {
  if (death?.moment === moment && runsLeft <= 0) process.kill(process.pid, 'SIGKILL');
};

function mortalExecutor(inner: Executor): Executor {
  return {
    available: () => inner.available(),
    measure: (backend) => inner.measure(backend),
    use: (backend) => inner.use(backend),
    lackedOps: () => inner.lackedOps(),
    load: (stage) => inner.load(stage),
    unload: (stageId) => inner.unload(stageId),
    memory: () => inner.memory(),
    stop: () => inner.stop(),
    onCrash: (listener) => inner.onCrash(listener),
    run: (stageId, signature, inputs) => inner.run(stageId, signature, inputs),
    async runCoded(stageId, signature, work) {
      runsLeft -= 1;
      reach('before');
      const running = inner.runCoded(stageId, signature, work);
      // The device has its thread: by then it is at work.
      setTimeout(() => reach('during'), 2);
      const result = await running;
      reach('after');
      return result;
    },
  };
}

function mortalConnection(inner: Connection): Connection {
  return {
    get kind() {
      return inner.kind;
    },
    get bufferedBytes() {
      return inner.bufferedBytes;
    },
    attach: (handler) => inner.attach(handler),
    close: () => inner.close(),
    send(packet) {
      inner.send(packet);
      if (packet.length > LARGE_PACKET_BYTES) reach('sending');
    },
  };
}

const mortalTransport = (inner: Transport): Transport => ({
  dial: async (peer, options) => mortalConnection(await inner.dial(peer, options)),
  onConnection: (accept) => inner.onConnection((from, connection) => accept(from, mortalConnection(connection))),
  close: () => inner.close(),
});

function start({ cacheFolder, url, invite, name, memoryBytesMax }: MortalOrder): Promise<NodeAgent> {
  const real = headlessParts(cacheFolder);
  const parts: NodeParts = {
    ...real,
    executor: () => mortalExecutor(real.executor()),
    transport: (...about) => mortalTransport(real.transport(...about)),
  };
  const memory = Math.max(memoryBytesMax, MEBIBYTE);
  const options = { url, invite, name, platform: 'test', memoryBytesMax: memory, power: 1, signal: undefined };
  return NodeAgent.start(parts, { ...options, backend: 'wasm' });
}

// Imported by the test for its words, it does nothing: only a child process has a parent to listen to.
if (process.env['SHOAL_MORTAL'] === '1') {
  process.once('message', (order: MortalOrder) => {
    process.on('message', (message: Death) => {
      death = message;
      runsLeft = message.runs;
      process.send?.('armed');
    });
    start(order).catch((error: unknown) => {
      process.stderr.write(`${order.name}: ${String(error)}\n`);
      process.exit(1);
    });
  });
  process.once('disconnect', () => process.exit(0));
}
