/** The probe graph's output on tfjs's cpu backend, the plain reference (see probe-graph.test.ts). */
export const PROBE_EXPECTED: readonly number[] = [];
