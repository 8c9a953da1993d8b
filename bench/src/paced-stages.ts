/**
 * A pipeline of paced stages, one node each, all in this process over real WebRTC: steady throughput against the
 * slowest stage (`efficiency_…`), and what the software adds to a hop (`hop_cost_ms`).
 */
import { systemClock, systemRandom } from '@shoal/base/system';
import type { MeshModel, TensorData } from '@shoal/mesh/client';
import { nodeTransport } from '@shoal/mesh/node-transport';
import { openSocketSignaling } from '@shoal/mesh/socket-signaling';
import { loadKernels } from '../../packages/mesh/src/adapters/codec-kernels.ts';
import { tfjsTensors } from '../../packages/mesh/src/adapters/tfjs-tensors.ts';
import { connectWith, type ConnectParts } from '../../packages/mesh/src/connect.ts';
import { startBenchMesh } from './bench-mesh.ts';
import { CHAIN_MODEL, writeChainModel, writePlacement } from './chain-model.ts';
import { delayedTransport } from './delayed-transport.ts';
import { startPacedNode, type PacedNode, type PacedWork } from './paced-node.ts';

const LAYERS = 16;
/** Activations of 32 KiB, as a thin cut of an image model has. */
const COLUMNS = 8192;
export const STAGE_BYTES: number = 4 * COLUMNS;
const WARM_UP_MS = 2500;
const WINDOW_MS = 4000;
const DEADLINE_MS = 60_000;
const SERVED_DEADLINE_MS = 60_000;
const HOP_WARM_UP = 200;
const HOP_REQUESTS = 200;

/** Stages hand on what comes. */
const PASS_ON: PacedWork = { rowsOf: ({ shape }) => shape[0] ?? 1, outcomeOf: (input) => input };

export interface StagesOptions {
  readonly stages: number;
  readonly stageMs: number;
  /** One way, on every link. */
  readonly delayMs: number;
}

/** Runs a pipeline of so many paced stages for as long as `use` takes. */
export async function withPacedStages<T>(
  { stages, stageMs, delayMs }: StagesOptions,
  use: (model: MeshModel) => Promise<T>,
): Promise<T> {
  const transport: ConnectParts['transport'] = (...about) => {
    const direct = nodeTransport(...about);
    return delayMs === 0 ? direct : delayedTransport(direct, delayMs);
  };
  const mesh = await startBenchMesh({
    prepareModels: async (folder) => {
      await writeChainModel(folder, LAYERS, COLUMNS);
      await writePlacement(folder, CHAIN_MODEL, stages);
    },
  });
  const nodes: PacedNode[] = [];
  const parts = {
    open: openSocketSignaling,
    transport,
    tensors: tfjsTensors,
    clock: systemClock,
    random: systemRandom,
    loadKernels,
  };
  const client = await connectWith(parts, mesh.url, { token: mesh.token });
  try {
    for (let i = 0; i < stages; i++) {
      nodes.push(await startPacedNode(mesh, `stage-${i}`, stageMs, { work: PASS_ON, transport }));
    }
    const model = await client.model(CHAIN_MODEL, { deadlineMs: DEADLINE_MS });
    await untilStaged(model, stages);
    return await use(model);
  } finally {
    await client.close();
    for (const node of nodes) node.leave();
    await mesh.close();
  }
}

/** Rows per second in steady state times the time of the slowest stage: 1 where it never waits. */
export async function measureEfficiency(model: MeshModel, stageMs: number): Promise<number> {
  const warmAtMs = performance.now() + WARM_UP_MS;
  let startMs = 0;
  let rows = 0;
  for await (const _ of model.predictStream(endlessRows(), { inFlight: 64, ordered: false })) {
    const nowMs = performance.now();
    if (startMs === 0) {
      if (nowMs >= warmAtMs) startMs = nowMs;
      continue;
    }
    rows += 1;
    if (nowMs - startMs >= WINDOW_MS) return (rows / (nowMs - startMs)) * stageMs;
  }
  throw new Error('the stream ended though its input does not');
}

/** Latencies of single rows, one after another. */
export async function measureLatenciesMs(model: MeshModel): Promise<number[]> {
  const latenciesMs: number[] = [];
  const rows = endlessRows();
  for (let i = 0; i < HOP_WARM_UP + HOP_REQUESTS; i++) {
    const startMs = performance.now();
    await model.predict<TensorData>(rows.next().value);
    latenciesMs.push(performance.now() - startMs);
  }
  return latenciesMs.slice(HOP_WARM_UP);
}

function* endlessRows(): Generator<TensorData, never> {
  for (let row = 0; ; row++) {
    const data = Float32Array.from({ length: COLUMNS }, (_, column) => Math.fround(row + column / 7));
    yield { dtype: 'float32', shape: [1, COLUMNS], data };
  }
}

async function untilStaged(model: MeshModel, stages: number): Promise<void> {
  const isStaged = (): boolean =>
    model.placement.stages.length === stages && model.placement.stages.every(({ replicas }) => replicas.length > 0);
  const endMs = performance.now() + SERVED_DEADLINE_MS;
  while (!isStaged()) {
    if (performance.now() > endMs) {
      const { code, reason } = model.placement;
      throw new Error(`no pipeline of ${stages} stages in ${SERVED_DEADLINE_MS} ms: ${code ?? ''} ${reason ?? ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
