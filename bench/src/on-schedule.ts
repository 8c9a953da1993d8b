/** Open-loop load: calls begin on time, whether or not earlier ones have ended. */

/**
 * Begins so many calls at so many a second. Resolves to how long each took from when it was due.
 * Rejects with the first failure.
 */
export async function onSchedule(calls: number, perSecond: number, call: () => Promise<void>): Promise<number[]> {
  const startMs = performance.now();
  const running: Promise<number>[] = [];
  for (let i = 0; i < calls; i++) {
    const dueMs = startMs + (i * 1000) / perSecond;
    const restMs = dueMs - performance.now();
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    const latency = call().then(() => performance.now() - dueMs);
    // Whoever waits for all hears of it; until then nobody does.
    latency.catch(() => {});
    running.push(latency);
  }
  return Promise.all(running);
}
