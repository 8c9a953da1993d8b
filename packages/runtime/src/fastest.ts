/** How long something takes on a machine that does other things too, as two tabs that are opened at once do for each other. */

/** The fastest run is known once it was met so often … */
const MEETINGS = 5;
/** … within this share: runs of a quiet machine differ by as much. */
const MEETING_BAND = 0.1;
/** What is timed at once takes so many ticks of the clock: one of a browser that hides from trackers counts whole milliseconds. */
const TICKS_MIN = 16;
/** On a busy machine, or with something slow, time is up before: a tab that joins is waited for. */
const MEASURE_MS_MAX = 500;

/**
 * The milliseconds of the fastest runs. Whatever else the machine does adds to a run and takes nothing away, so that the fastest of
 * several are the same next to a busy neighbour as alone, where means and medians are not. Of those that meet the mean is taken.
 * @param run runs so many times in a row, and returns the milliseconds of all
 */
export async function fastestMs(run: (times: number) => Promise<number>, tickMs: number): Promise<number> {
  let times = 1;
  let ms = await run(times);
  let totalMs = ms;
  while (ms < TICKS_MIN * tickMs && totalMs < MEASURE_MS_MAX) {
    times *= 2;
    ms = await run(times);
    totalMs += ms;
  }
  const timesMs = [ms];
  let meeting: readonly number[] = timesMs;
  while (totalMs < MEASURE_MS_MAX && meeting.length < MEETINGS) {
    ms = await run(times);
    timesMs.push(ms);
    totalMs += ms;
    const limitMs = Math.min(...timesMs) * (1 + MEETING_BAND);
    meeting = timesMs.filter((each) => each <= limitMs);
  }
  return meeting.reduce((sum, each) => sum + each, 0) / meeting.length / times;
}

/** By how much a clock goes on at once, in milliseconds; takes a few of its ticks. */
export function tickOf(nowMs: () => number): number {
  const steps = Array.from({ length: 3 }, () => {
    const startMs = nowMs();
    for (;;) {
      const stepMs = nowMs() - startMs;
      if (stepMs > 0) return stepMs;
    }
  });
  return Math.min(...steps);
}
