/** A stage's tensors between the wire and the executor: the same bytes under other names. */
import { elementCount, MeshError, type EncodedTensor, type TensorHeader, type WorkMessage } from '@shoal/protocol';
import { checkInputKinds, signatureOf, type Manifest, type StageNames } from '@shoal/sharding';

/**
 * What the stage's own model reads, under its own names, each with memory of its own.
 * @param manifest given for a first stage: callers' inputs are all checked, those of later stages too
 * @throws MeshError BAD_INPUT, SIGNATURE_NOT_FOUND; EXECUTION_FAILED for a tensor that did not arrive
 */
export function arriving(
  message: WorkMessage,
  bodies: readonly Uint8Array[],
  names: StageNames,
  manifest: Manifest | null,
): EncodedTensor[] {
  const arrived = new Map(message.tensors.map((header, i) => [header.name, { header, data: bodies[i] }]));
  if (manifest !== null) {
    const kinds = Object.fromEntries(message.tensors.map((header) => [header.name, header]));
    checkInputKinds(manifest, signatureOf(manifest, message.signature), kinds);
  }
  return [...names.reads].map(([name, from]) => {
    const tensor = arrived.get(from);
    if (tensor?.data === undefined) {
      throw new MeshError('EXECUTION_FAILED', `stage ${message.stage + 1}: tensor "${from}" did not arrive`);
    }
    return { header: { ...tensor.header, name }, data: tensor.data.slice() };
  });
}

/** What leaves: what the stage made, and what it hands on as it came, still encoded. */
export function leaving(
  message: WorkMessage,
  bodies: readonly Uint8Array[],
  made: readonly EncodedTensor[],
  { makes, passes }: StageNames,
): EncodedTensor[] {
  const passed = message.tensors.map((header, i) => ({ header, data: bodies[i] ?? new Uint8Array(0) }));
  return [...renamed(passed, passes), ...renamed(made, makes)];
}

const renamed = (tensors: readonly EncodedTensor[], names: ReadonlyMap<string, readonly string[]>): EncodedTensor[] =>
  tensors.flatMap(({ header, data }) =>
    (names.get(header.name) ?? []).map((name) => ({ header: { ...header, name }, data })),
  );

export const bytesOf = (tensors: readonly EncodedTensor[]): number =>
  tensors.reduce((sum, { data }) => sum + data.length, 0);

/** Bytes that tensors take as 32-bit elements; strings as they are written. */
export const plainBytesOf = (tensors: readonly EncodedTensor[]): number =>
  tensors.reduce((sum, { header }) => sum + plainBytes(header), 0);

const plainBytes = ({ dtype, shape, bytes }: TensorHeader): number =>
  dtype === 'string' ? bytes : 4 * elementCount(shape);
