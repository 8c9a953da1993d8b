/** What the coordinator knows of every model version: the gateway's port for status, lists and readiness. */
import type { ReasonCode } from '@shoal/protocol';

/** TensorFlow Serving's states of a model version (`get_model_status.proto`). */
export type ModelVersionState = 'UNKNOWN' | 'START' | 'LOADING' | 'AVAILABLE' | 'UNLOADING' | 'END';

export interface ModelStatus {
  readonly model: string;
  readonly version: number;
  readonly state: ModelVersionState;
  /** Why it is in this state, where that needs saying. */
  readonly code: ReasonCode | null;
  readonly reason: string | null;
  /** Version labels that name this version. */
  readonly labels?: readonly string[];
}

export type ModelDirectory = () => Promise<readonly ModelStatus[]>;
