import { expect, it } from 'vitest';
import { diagnosticsText } from './diagnostics.ts';

it('writes what helps and removes signed tokens wherever they stand', () => {
  const text = diagnosticsText({
    atMs: 0,
    userAgent: 'test',
    facts: null,
    snapshot: null,
    error: { code: 'INVITE_INVALID', reason: 'invite eyJhbGciOi.eyJyb2xl.c2ln-_ was altered' },
    log: [{ atMs: 1000, code: 'IDLE', text: 'http://x/#invite=eyJhbGciOi.eyJyb2xl.c2ln' }],
  });
  expect(text).not.toContain('eyJ');
  expect(JSON.parse(text)).toEqual({
    at: '1970-01-01T00:00:00.000Z',
    userAgent: 'test',
    device: null,
    node: null,
    error: { code: 'INVITE_INVALID', reason: 'invite [removed] was altered' },
    log: [{ at: '1970-01-01T00:00:01.000Z', code: 'IDLE', text: 'http://x/#invite=[removed]' }],
  });
});
