/** What measuring adds to a layer graph: shapes of a recorded run, and times of a profile. */
import type { DType } from '@shoal/protocol';
import type { GraphLayer, GraphTensor, LayerGraph } from './layer-graph.ts';
import { product, rowBytes, UNKNOWN } from './shape.ts';

export interface RecordedShapes {
  /** Rows of axis 0 that the inputs of the run had. */
  readonly rows: number;
  /** By canonical name; tensors may be missing. */
  readonly tensors: ReadonlyMap<string, { readonly dtype: DType; readonly shape: readonly number[] }>;
}

/**
 * Fills in what inference left unknown: element types, bytes, and the shapes of tensors of unknown rank. A
 * run tells a size, not whether it is always the same: only where the batch is the one open dimension of the
 * model's inputs are recorded sizes taken for fixed. The order of layers stays.
 * @throws RangeError if `rows` is no positive whole number
 */
export function withRecordedShapes(graph: LayerGraph, recorded: RecordedShapes): LayerGraph {
  if (!Number.isInteger(recorded.rows) || recorded.rows < 1) {
    throw new RangeError(`rows must be a whole number above 0, got ${recorded.rows}`);
  }
  const onlyBatchIsOpen = graph.inputs.every((name) => {
    const shape = graph.tensors.get(name)?.shape ?? null;
    return shape !== null && !shape.slice(1).includes(UNKNOWN);
  });
  const tensors = new Map<string, GraphTensor>();
  for (const [name, tensor] of graph.tensors) {
    const run = recorded.tensors.get(name);
    if (run === undefined) {
      tensors.set(name, tensor);
      continue;
    }
    const isBatched = onlyBatchIsOpen && run.shape[0] === recorded.rows;
    // A GraphModel runs with the rank alone; a Keras layer behind a cut may build its weights from a size.
    const open = graph.format === 'graph-model' ? run.shape.map(() => UNKNOWN) : null;
    const bytes = rowBytes([product(run.shape)], run.dtype);
    tensors.set(name, {
      ...tensor,
      dtype: tensor.dtype ?? run.dtype,
      shape: tensor.shape ?? (isBatched ? run.shape.with(0, UNKNOWN) : open),
      bytesPerRow: tensor.bytesPerRow ?? (bytes === null ? null : bytes / recorded.rows),
    });
  }
  return { ...graph, tensors };
}

/**
 * Replaces guessed costs by measured ones.
 * @param msPerRow milliseconds for one row, an entry for each layer, all on the same node
 * @throws RangeError for a wrong number of entries, or one that is negative or not finite
 */
export function withProfile(graph: LayerGraph, msPerRow: readonly number[]): LayerGraph {
  if (msPerRow.length !== graph.layers.length) {
    throw new RangeError(`msPerRow has ${msPerRow.length} entries, the graph ${graph.layers.length} layers`);
  }
  const layers = graph.layers.map((layer, i): GraphLayer => {
    const cost = msPerRow[i] ?? NaN;
    if (!Number.isFinite(cost) || cost < 0)
      throw new RangeError(`msPerRow[${i}] must be finite and at least 0, got ${cost}`);
    return { ...layer, cost };
  });
  return { ...graph, layers, costUnit: 'ms' };
}
