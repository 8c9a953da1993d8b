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
 * Fills in what inference left unknown. A tensor of unknown rank gets the recorded shape, with axis 0 open
 * if it had as many rows as the run; one with open dimensions keeps them and gets only its bytes. The order
 * of layers stays.
 * @throws RangeError if `rows` is no positive whole number
 */
export function withRecordedShapes(graph: LayerGraph, recorded: RecordedShapes): LayerGraph {
  if (!Number.isInteger(recorded.rows) || recorded.rows < 1) {
    throw new RangeError(`rows must be a whole number above 0, got ${recorded.rows}`);
  }
  const tensors = new Map<string, GraphTensor>();
  for (const [name, tensor] of graph.tensors) {
    const run = recorded.tensors.get(name);
    tensors.set(name, run === undefined ? tensor : filled(tensor, run, recorded.rows));
  }
  return { ...graph, tensors };
}

function filled(
  tensor: GraphTensor,
  run: { readonly dtype: DType; readonly shape: readonly number[] },
  rows: number,
): GraphTensor {
  const isBatched = run.shape[0] === rows;
  const shape = tensor.shape ?? (isBatched ? run.shape.with(0, UNKNOWN) : run.shape);
  const whole = rowBytes([product(run.shape)], run.dtype);
  // What grows with the batch in another way than by rows is charged evenly to them.
  const grows = shape[0] === UNKNOWN;
  const bytesPerRow = tensor.bytesPerRow ?? (whole === null || !grows ? whole : whole / rows);
  return { ...tensor, dtype: tensor.dtype ?? run.dtype, shape, bytesPerRow };
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
