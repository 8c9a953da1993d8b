/** A mesh of paced nodes that serve `half_plus_two`. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mesh, MeshModel, TensorData } from '@shoal/mesh/client';
import { startBenchMesh, untilServedBy, type BenchMesh } from './bench-mesh.ts';
import { startPacedNode, type PacedNode } from './paced-node.ts';

const MODEL = 'half_plus_two';
/** The version alone, without golden vectors: proving itself would take a slow node seconds of waiting. */
const VERSION_FOLDER = fileURLToPath(new URL(`../../samples/models/${MODEL}/1`, import.meta.url));
const DEADLINE_MS = 60_000;

export class PacedMesh {
  readonly nodes = new Set<PacedNode>();
  readonly #mesh: BenchMesh;
  readonly #clients = new Set<Mesh>();
  /** Of all nodes that ever were. */
  readonly #paces = new Set<PacedNode['pace']>();
  #nodesMade = 0;

  private constructor(mesh: BenchMesh) {
    this.#mesh = mesh;
  }

  /** Starts one node per pace. */
  static async start(msPerRowByNode: readonly number[]): Promise<PacedMesh> {
    const mesh = await startBenchMesh({
      prepareModels: (folder) => cp(VERSION_FOLDER, join(folder, MODEL, '1'), { recursive: true }),
    });
    const paced = new PacedMesh(mesh);
    await Promise.all(msPerRowByNode.map((msPerRow) => paced.add(msPerRow)));
    return paced;
  }

  /** Rows that all nodes together have begun to run. */
  get rowsRun(): number {
    let rows = 0;
    for (const pace of this.#paces) rows += pace.rowsRun;
    return rows;
  }

  async add(msPerRow: number): Promise<PacedNode> {
    const node = await startPacedNode(this.#mesh, `paced-${++this.#nodesMade}`, msPerRow);
    this.nodes.add(node);
    this.#paces.add(node.pace);
    return node;
  }

  remove(node: PacedNode): void {
    this.nodes.delete(node);
    node.leave();
  }

  /** A new client, which knows of the nodes only what they say of themselves, once all nodes serve. */
  async client(): Promise<{ readonly mesh: Mesh; readonly model: MeshModel; readonly close: () => Promise<void> }> {
    const client = await this.#mesh.connect();
    this.#clients.add(client);
    const model = await client.model(MODEL, { deadlineMs: DEADLINE_MS });
    await this.settled(model);
    return {
      mesh: client,
      model,
      close: async () => {
        this.#clients.delete(client);
        await client.close();
      },
    };
  }

  /** Waits until every node serves, as this client sees it. */
  settled(model: MeshModel): Promise<void> {
    return untilServedBy(
      model,
      [...this.nodes].map((node) => node.name),
    );
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
    for (const node of this.nodes) node.leave();
    await this.#mesh.close();
  }
}

/** Runs one request of so many rows and checks every answer. @throws Error when a row came back wrong */
export async function runRows(model: MeshModel, rows: number): Promise<void> {
  const x = Float32Array.from({ length: rows }, (_, row) => row);
  const y = (await model.predict<TensorData>({ dtype: 'float32', shape: [rows], data: x })) as TensorData;
  for (let row = 0; row < rows; row++) {
    if (y.data[row] !== row / 2 + 2) throw new Error(`row ${row} came back as ${y.data[row]}, not ${row / 2 + 2}`);
  }
}
