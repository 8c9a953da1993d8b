/** The coordinator's view of its models in TensorFlow Serving's words. */
import type { ModelStatus } from '@shoal/gateway';
import type { Coordinator } from '@shoal/signaling';

type View = ReturnType<Coordinator['models']>[number];

/** A version that nobody serves yet is loading, one that was refused has ended; the reason stands beside it. */
const STATES = { served: 'AVAILABLE', unserved: 'LOADING', refused: 'END' } as const;

export const modelStatus = ({ model, version, state, code, reason }: View): ModelStatus => ({
  model,
  version,
  state: STATES[state],
  code,
  reason,
});
