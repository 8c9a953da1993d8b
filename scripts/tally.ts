/** Counts of tests, as the runners' JSON reports state them. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The parts read of vitest's `--reporter=json`. */
export interface VitestReport {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { status: string }[];
  }[];
}

/** The parts read of Playwright's `json` reporter. */
export interface PlaywrightReport {
  readonly stats: {
    readonly expected: number;
    readonly unexpected: number;
    readonly flaky: number;
    readonly skipped: number;
  };
  /** Failures outside any test: a spec that does not load, a time-out of the whole run. */
  readonly errors: readonly unknown[];
}

export function sum(tallies: readonly Tally[]): Tally {
  const total = (key: keyof Tally): number => tallies.reduce((count, tally) => count + tally[key], 0);
  return { passed: total('passed'), failed: total('failed'), skipped: total('skipped') };
}

/** One category that is counted as a single test. */
export function single(passed: boolean): Tally {
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

/** A runner that failed has failed at least once, whatever it counted: a file that does not load holds no tests. */
export function ofVitest(report: VitestReport | undefined, exitedWell: boolean): Tally {
  if (report === undefined) return single(false);
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = report.numFailedTests + unloaded;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !(exitedWell && report.success) ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** See `ofVitest`. A flaky test failed once, and once is a failure. */
export function ofPlaywright(report: PlaywrightReport | undefined, exitedWell: boolean): Tally {
  if (report === undefined) return single(false);
  const { expected, unexpected, flaky, skipped } = report.stats;
  const failed = unexpected + flaky + report.errors.length;
  return { passed: expected, failed: failed === 0 && !exitedWell ? 1 : failed, skipped };
}
