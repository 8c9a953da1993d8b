import { describe, expect, test } from 'vitest';
import { handshakeSchema } from './membership.ts';
import { parseWith } from './parse.ts';

describe('handshake', () => {
  test('[SG1] carries protocol version, role, and an invite or a session', () => {
    for (const role of ['node', 'client', 'admin']) {
      for (const shown of [{ invite: 'i' }, { session: 's' }]) {
        expect(parseWith(handshakeSchema, { protocol: 1, role, ...shown }, 'handshake')).toEqual({
          protocol: 1,
          role,
          ...shown,
        });
      }
    }
  });

  test.each<[string, unknown]>([
    ['protocol', { role: 'node' }],
    ['protocol', { protocol: '1', role: 'node' }],
    ['role', { protocol: 1, role: 'root' }],
    ['invite', { protocol: 1, role: 'node', invite: 'x'.repeat(4097) }],
    ['session', { protocol: 1, role: 'node', session: 'x'.repeat(4097) }],
    ['value', { protocol: 1, role: 'node', peerId: 'p1' }],
  ])('[SG1] a wrong %s is refused by name', (field, value) => {
    expect(() => parseWith(handshakeSchema, value, 'handshake')).toThrow(`BAD_FRAME: handshake: ${field}: `);
  });
});
