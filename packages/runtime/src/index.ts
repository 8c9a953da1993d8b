export { calibrate, type Calibration } from './calibrate.ts';
export { chooseBackend, type BackendChoice } from './choose-backend.ts';
export { codedRun } from './coded-run.ts';
export type { CodedResult, CodedWork, Executor, ExecutorMemory, RunResult, StageToLoad } from './executor.ts';
export { NodeAgent } from './node-agent.ts';
export type { NodeOptions, NodeParts } from './node-options.ts';
export type { Digest, ShardSource, ShardStore } from './shard-store.ts';
export { madeUpInputs, selfTest, type SelfTestResult } from './self-test.ts';
