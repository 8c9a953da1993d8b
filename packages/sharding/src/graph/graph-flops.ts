/** A first guess of what a GraphDef operation costs, from shapes; a profile on a node replaces it. */
import { inputAt, shapeAt, type Operation, type TensorInfo } from './graph-op.ts';
import { product, rowElements } from './shape.ts';
import { booleanAttribute, integersAttribute } from './tf-attributes.ts';

/** Operations that move or rename elements without computing. */
const FREE: ReadonlySet<string> = new Set(
  'Identity IdentityN Reshape Squeeze ExpandDims Shape Rank Size Const Placeholder NoOp StopGradient Snapshot'.split(
    ' ',
  ),
);
const CONVOLUTIONS: ReadonlySet<string> = new Set(
  'Conv2D _FusedConv2D DepthwiseConv2d DepthwiseConv2dNative FusedDepthwiseConv2dNative Conv2DBackpropInput'.split(' '),
);
const PRODUCTS: ReadonlySet<string> = new Set('MatMul _FusedMatMul BatchMatMul BatchMatMulV2'.split(' '));
const POOLINGS: ReadonlySet<string> = new Set(['MaxPool', 'AvgPool']);

/** Floating-point operations for one row (a multiply and an add count two); null if shapes do not tell. */
export function graphFlops(operation: Operation, output: TensorInfo | undefined): number | null {
  const op = operation.node.op;
  if (FREE.has(op)) return 0;
  const made = rowElements(output?.shape ?? null);
  if (CONVOLUTIONS.has(op)) {
    const filter = product(shapeAt(operation, 1) ?? [-1]);
    // Each filter element is used once at each place of the output, or of the input where it spreads.
    const places = (op === 'Conv2DBackpropInput' ? shapeAt(operation, 2) : output?.shape)?.slice(1, 3);
    const count = places === undefined ? -1 : product(places);
    return filter < 0 || count < 0 ? null : 2 * filter * count;
  }
  if (PRODUCTS.has(op)) {
    const transposed =
      booleanAttribute(operation.attributes, 'transpose_a') || booleanAttribute(operation.attributes, 'adj_x');
    const inner = shapeAt(operation, 0)?.at(transposed ? -2 : -1) ?? -1;
    return made === null || inner < 0 ? null : 2 * made * inner;
  }
  if (POOLINGS.has(op)) {
    const window = product(integersAttribute(operation.attributes, 'ksize') ?? [1]);
    return made === null ? null : made * window;
  }
  const read = rowElements(inputAt(operation, 0).shape);
  return made === null ? read : Math.max(made, read ?? 0);
}
