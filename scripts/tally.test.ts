import { describe, expect, it } from 'vitest';
import { ofPlaywright, ofVitest, single, sum, type PlaywrightReport, type VitestReport } from './tally.ts';

const units: VitestReport = {
  success: true,
  numPassedTests: 7,
  numFailedTests: 0,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: [{ status: 'passed', assertionResults: [{ status: 'passed' }] }],
};
const tabs: PlaywrightReport = { stats: { expected: 4, unexpected: 0, flaky: 0, skipped: 1 }, errors: [] };

describe("tallies of the runners' reports", () => {
  it('add up what passed, failed and was skipped', () => {
    expect(sum([single(true), single(false), ofVitest(units, true), ofPlaywright(tabs, true)])).toEqual({
      passed: 12,
      failed: 1,
      skipped: 4,
    });
  });

  it('count a test file that does not load as a failure', () => {
    const report = {
      ...units,
      success: false,
      numFailedTests: 1,
      testResults: [
        { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] },
        { status: 'failed', assertionResults: [] },
      ],
    };
    expect(ofVitest(report, false).failed).toBe(2);
  });

  it('count a spec that does not load and a test that passed at the second go as failures', () => {
    expect(ofPlaywright({ ...tabs, errors: [{}] }, false).failed).toBe(1);
    expect(ofPlaywright({ ...tabs, stats: { ...tabs.stats, flaky: 1 } }, true).failed).toBe(1);
  });

  it('never call a run good that ended badly or left no report', () => {
    expect(ofVitest(units, false).failed).toBe(1);
    expect(ofVitest({ ...units, success: false }, true).failed).toBe(1);
    expect(ofVitest(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(ofPlaywright(tabs, false).failed).toBe(1);
    expect(ofPlaywright(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});
