/** Whether a predict request fits a signature, in the words of `predict_util.cc`, and its tensors. */
import type { NamedTensors, Signature, TensorData } from '@shoal/protocol';
import type { PredictRequest } from './requests.ts';
import { invalid } from './rpc-error.ts';
import { readTensor, type TensorRoom } from './tensor-proto.ts';

/** @throws RpcError INVALID_ARGUMENT or UNIMPLEMENTED, MeshError BAD_INPUT or QUEUE_FULL */
export function predictInputs(request: PredictRequest, signature: Signature, room: TensorRoom): NamedTensors {
  const { tensors } = request;
  const { inputs } = signature;
  const expected = Object.keys(inputs).sort();
  const sent = [...tensors.keys()].sort();
  if (sent.length !== expected.length) {
    const extra = sent.filter((name) => !expected.includes(name));
    const missing = expected.filter((name) => !tensors.has(name));
    throw invalid(
      `input size does not match signature: ${sent.length}!=${expected.length} len({${sent.join(',')}}) != ` +
        `len({${expected.join(',')}}). Sent extra: {${extra.join(',')}}. Missing but required: {${missing.join(',')}}.`,
    );
  }
  const read = sent.map((name): readonly [string, TensorData] => {
    const spec = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    if (spec === undefined) {
      throw invalid(
        `input tensor alias not found in signature: ${name}. Inputs expected to be in the set {${expected.join(',')}}.`,
      );
    }
    return [name, readTensor(name, tensors.get(name) as Uint8Array, spec, room)];
  });
  checkOutputFilter(request.outputFilter, signature);
  return Object.fromEntries(read);
}

function checkOutputFilter(filter: readonly string[], { outputs }: Signature): void {
  for (const [index, name] of filter.entries()) {
    if (!Object.hasOwn(outputs, name)) {
      const expected = Object.keys(outputs).sort().join(',');
      throw invalid(
        `output tensor alias not found in signature: ${name} Outputs expected to be in the set {${expected}}.`,
      );
    }
    if (filter.indexOf(name) !== index) throw invalid(`duplicate output tensor alias: ${name}`);
  }
}

/** All outputs where the request names none. */
export function filtered(outputs: NamedTensors, filter: readonly string[]): NamedTensors {
  if (filter.length === 0) return outputs;
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => filter.includes(name)));
}
