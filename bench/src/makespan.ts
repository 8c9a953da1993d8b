/** How near a batch on nodes of unequal speed comes to the time that it must take: `makespan_ratio_16` and with churn. */
import type { MeshModel } from '@shoal/mesh/client';
import { fluidBoundMs, type Presence } from './fluid-bound.ts';
import { runRows, type PacedMesh } from './paced-mesh.ts';
import type { PacedNode } from './paced-node.ts';

const NODES = 16;
const FASTEST_MS_PER_ROW = 5;
const SPEED_SPREAD = 8;
/** Length of a run if no time were lost. */
const BOUND_MS = 4000;
const WARM_UP_MS = 1000;

/** Paces from the fastest to the slowest, in equal ratios. */
export const SPREAD_PACES: readonly number[] = Array.from(
  { length: NODES },
  (_, i) => FASTEST_MS_PER_ROW * SPEED_SPREAD ** (i / (NODES - 1)),
);

const rowsPerMs = SPREAD_PACES.reduce((sum, msPerRow) => sum + 1 / msPerRow, 0);
export const MAKESPAN_ROWS: number = Math.round(BOUND_MS * rowsPerMs);
export const WARM_UP_ROWS: number = Math.round(WARM_UP_MS * rowsPerMs);

/** A fifth of the nodes, spread over the speeds: each leaves at its time, and one of its pace joins at the next. */
const LEAVERS = Math.round(NODES / 5);
const CHURN_FROM = 0.2;
const CHURN_STEP = 0.1;

export interface MakespanRun {
  /** Fluid bound / makespan: 1 is perfect. */
  readonly ratio: number;
  /** Rows run more than once / rows asked for. */
  readonly duplicatedShare: number;
}

export async function runSteady(mesh: PacedMesh, model: MeshModel): Promise<MakespanRun> {
  const nodes = [...mesh.nodes].map(presence);
  return timed(mesh, model, () => nodes);
}

/** Nodes leave as closed tabs do, and as many join, while the batch runs. Leaves the mesh with the paces it had. */
export async function runChurned(mesh: PacedMesh, model: MeshModel): Promise<MakespanRun> {
  const present = [...mesh.nodes].map(presence);
  const changes: Promise<void>[] = [];
  const bySpeed = [...mesh.nodes].toSorted((a, b) => a.pace.msPerRow - b.pace.msPerRow);
  for (let i = 0; i < LEAVERS; i++) {
    const leaver = bySpeed[Math.floor(((i + 0.5) * NODES) / LEAVERS)];
    if (leaver === undefined) continue;
    const leaveAfterMs = BOUND_MS * (CHURN_FROM + 2 * i * CHURN_STEP);
    changes.push(
      after(leaveAfterMs, async () => {
        mesh.remove(leaver);
        const index = present.findIndex(({ node }) => node === leaver);
        present[index] = { ...presence(leaver), untilMs: performance.now() };
      }),
      after(leaveAfterMs + BOUND_MS * CHURN_STEP, async () => {
        present.push(presence(await mesh.add(leaver.pace.msPerRow)));
      }),
    );
  }
  const run = await timed(mesh, model, () => present);
  await Promise.all(changes);
  await mesh.settled(model);
  return run;
}

/** Runs the batch once; who was there is asked afterwards. */
async function timed(mesh: PacedMesh, model: MeshModel, nodes: () => readonly Presence[]): Promise<MakespanRun> {
  const rowsBefore = mesh.rowsRun;
  const startMs = performance.now();
  await runRows(model, MAKESPAN_ROWS);
  const makespanMs = performance.now() - startMs;
  return {
    ratio: fluidBoundMs(MAKESPAN_ROWS, startMs, nodes()) / makespanMs,
    duplicatedShare: (mesh.rowsRun - rowsBefore) / MAKESPAN_ROWS - 1,
  };
}

const presence = (node: PacedNode): Presence & { readonly node: PacedNode } => ({
  node,
  rowsPerMs: 1 / node.pace.msPerRow,
  // A node counts from when it began to join: how soon it serves is the mesh's doing.
  fromMs: node.startedAtMs,
  untilMs: Number.POSITIVE_INFINITY,
});

async function after(delayMs: number, act: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  await act();
}
