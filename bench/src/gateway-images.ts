/** How long a picture as JSON keeps everybody else waiting, there and back. */
import type { BenchContext } from './bench.ts';
import { startGatewayMesh } from './gateway-mesh.ts';
import { httpLoad } from './http-load.ts';
import type { BenchRow } from './row.ts';
import { percentile, rowsOrReason, type RowAbout } from './statistics.ts';

const LOOK_MS = 1;
const SECONDS = 20;
const WARM_UP_SECONDS = 3;
const CONNECTIONS = 2;
const SIZE = 224;
const CLASSES = 5;
const SPEC = { dtype: 'float32', shape: [-1, SIZE, SIZE, 3] };

const about = (metric: string, answer: string): RowAbout => ({
  metric,
  unit: 'ms',
  baseline:
    `no time: how long the event loop of the gateway's process stood still, exceeded once in a hundred requests of ` +
    `[1,${SIZE},${SIZE},3] JSON that are answered by ${answer}, ${CONNECTIONS} at once; client and nodes elsewhere`,
  target: 50,
  better: 'lower',
});

const ROWS = {
  classified: about('json_image_loop_block_p99_ms', `${CLASSES} numbers`),
  pictures: about('json_image_echo_loop_block_p99_ms', 'as many numbers'),
} as const;
type Model = keyof typeof ROWS;

export async function imageRows({ progress }: BenchContext): Promise<readonly BenchRow[]> {
  return rowsOrReason(Object.values(ROWS), async () => {
    const gateway = await startGatewayMesh({ nodes: 1, fixedMs: 1, msPerRow: 1, models: modelsOf() });
    try {
      const body = pictureJson();
      const rows: BenchRow[] = [];
      for (const model of Object.keys(ROWS) as Model[]) {
        const url = `${gateway.restUrl}/v1/models/${model}:predict`;
        await httpLoad({ url, body, connections: CONNECTIONS, seconds: WARM_UP_SECONDS });
        const watch = new LoopWatch();
        const { latenciesMs, errors } = await httpLoad({ url, body, connections: CONNECTIONS, seconds: SECONDS });
        watch.stop();
        if (errors > 0) throw new Error(`${errors} requests failed`);
        // One delay keeps all requests waiting that are there.
        const value = watch.longest(Math.floor(latenciesMs.length / 100 / CONNECTIONS));
        progress(`${model}: ${latenciesMs.length} requests, exceeded in a hundredth: ${value.toFixed(1)} ms`);
        const note =
          `longest ${watch.longest(0).toFixed(1)} ms; ${latenciesMs.length} requests of ` +
          `${(body.length / 2 ** 20).toFixed(1)} MiB, p50 ${percentile(latenciesMs, 0.5).toFixed(0)} ms`;
        rows.push({ ...ROWS[model], value, note });
      }
      return rows;
    } finally {
      await gateway.close();
    }
  });
}

function modelsOf(): Record<string, object> {
  const signatures = (shape: readonly number[]) => ({
    serving_default: {
      inputs: { x: { ...SPEC, tensor: 'x:0' } },
      outputs: { y: { dtype: 'float32', shape, tensor: 'y:0' } },
    },
  });
  return {
    classified: { signatures: signatures([-1, CLASSES]) },
    pictures: { signatures: signatures(SPEC.shape) },
  };
}

/** Numbers of six digits, as most clients print a picture in [0, 1). */
function pictureJson(): string {
  const value = (index: number): string => ((index * 0.618034) % 1).toFixed(6);
  const pixel = (index: number): string => `[${[0, 1, 2].map((channel) => value(3 * index + channel)).join(',')}]`;
  const row = (index: number): string =>
    `[${Array.from({ length: SIZE }, (_, i) => pixel(index * SIZE + i)).join(',')}]`;
  return `{"instances":[[${Array.from({ length: SIZE }, (_, i) => row(i)).join(',')}]]}`;
}

/** By how much timers of a millisecond are late. */
class LoopWatch {
  /** All of them. */
  readonly #gapsMs: number[] = [];
  #lastMs = performance.now();
  #isStopped = false;

  constructor() {
    this.#look();
  }

  /** The longest delay but so many longer ones. */
  longest(butMany: number): number {
    return this.#gapsMs.toSorted((a, b) => b - a)[butMany] ?? 0;
  }

  stop(): void {
    this.#isStopped = true;
  }

  #look(): void {
    const nowMs = performance.now();
    this.#gapsMs.push(Math.max(0, nowMs - this.#lastMs - LOOK_MS));
    this.#lastMs = nowMs;
    if (!this.#isStopped) setTimeout(() => this.#look(), LOOK_MS);
  }
}
