/**
 * What a live region says. Screen readers read every change aloud, so changes that come faster than one in
 * `ANNOUNCE_INTERVAL_MS` are held back and only the latest of them is said.
 */
export const ANNOUNCE_INTERVAL_MS = 5000;

export interface AnnouncerState {
  readonly said: string;
  readonly saidAtMs: number;
  /** Held back until the interval has passed. */
  readonly held: string | null;
}

export const SILENT: AnnouncerState = { said: '', saidAtMs: Number.NEGATIVE_INFINITY, held: null };

/** Takes a new message, to say now or later. */
export function announce(state: AnnouncerState, message: string, nowMs: number): AnnouncerState {
  if (message === state.said) return { ...state, held: null };
  if (nowMs - state.saidAtMs < ANNOUNCE_INTERVAL_MS) return { ...state, held: message };
  return { said: message, saidAtMs: nowMs, held: null };
}

/** Says what was held back, once its time has come. */
export function release(state: AnnouncerState, nowMs: number): AnnouncerState {
  return state.held === null ? state : announce(state, state.held, nowMs);
}
