/** How long something takes on a machine that does other things too, as two tabs that are opened at once do for each other. */

/** The fastest run is known once it was met so often … */
const MEETINGS = 5;
/** … within this share: runs of a quiet machine differ by as much. */
const MEETING_BAND = 0.1;
/** On a busy machine, or with something slow, time is up before: a tab that joins is waited for. */
const MEASURE_MS_MAX = 500;

/**
 * The milliseconds of the fastest runs. Whatever else the machine does adds to a run and takes nothing away, so that the fastest of
 * several are the same next to a busy neighbour as alone, where means and medians are not. Of those that meet the mean is taken: a
 * tab's clock counts tenths of a millisecond.
 */
export async function fastestMs(run: () => Promise<number>): Promise<number> {
  const timesMs: number[] = [];
  let totalMs = 0;
  let meeting: readonly number[] = [];
  while (totalMs < MEASURE_MS_MAX && meeting.length < MEETINGS) {
    const ms = await run();
    timesMs.push(ms);
    totalMs += ms;
    const limitMs = Math.min(...timesMs) * (1 + MEETING_BAND);
    meeting = timesMs.filter((each) => each <= limitMs);
  }
  return meeting.reduce((sum, ms) => sum + ms, 0) / meeting.length;
}
