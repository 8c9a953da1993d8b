import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runStep } from './step.ts';

let printed: string[];

beforeEach(() => {
  printed = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('a step', () => {
  it('that passes says so in one line and keeps its output to itself', async () => {
    const { passed } = await runStep({ name: 'quiet', command: ['sh', '-c', 'echo chatter'] });
    expect(passed).toBe(true);
    expect(printed.join('')).toMatch(/^\s*passed {2}quiet +\d+\.\d s$/);
  });

  it('that fails shows what it wrote', async () => {
    const { passed } = await runStep({ name: 'broken', command: ['sh', '-c', 'echo why >&2; exit 3'] });
    expect(passed).toBe(false);
    expect(printed.join('')).toMatch(/why\n\s*FAILED {2}broken/);
  });

  it('whose program is missing does not pass', async () => {
    const { passed } = await runStep({ name: 'missing', command: ['no-such-program'] });
    expect(passed).toBe(false);
    expect(printed.join('')).toContain('ENOENT');
  });

  it('that is late is ended with all that it started', async () => {
    // The grandchild holds the pipe that the step waits for.
    const command = ['sh', '-c', 'sleep 60 & wait'] as const;
    const { passed, seconds } = await runStep({ name: 'late', command, deadlineMs: 300 });
    expect(passed).toBe(false);
    expect(seconds).toBeLessThan(10);
    expect(printed.join('')).toContain('no end within 0.3 s');
  });
});
