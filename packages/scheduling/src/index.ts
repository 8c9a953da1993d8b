export { createDispatch, dispatch, nextWakeMs } from './dispatch.ts';
export type { DispatchConfig, DispatchEffect, DispatchEvent, DispatchState, Flight } from './dispatch-state.ts';
