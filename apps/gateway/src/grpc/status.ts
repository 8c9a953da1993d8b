/** `ModelVersionStatus` of the versions that a request asks for. */
import type { ModelStatus } from '../model-directory.ts';
import { statusProto, statusesOf } from '../model-status.ts';
import type { ModelSpec } from '../route.ts';

/** @throws RestError NOT_FOUND */
export const versionStatuses = (spec: ModelSpec, statuses: readonly ModelStatus[]): object[] =>
  statusesOf(spec, statuses).map((status) => ({
    version: status.version,
    state: status.state,
    status: statusProto(status),
  }));
