import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROTOCOL_VERSION, ROLES } from '@shoal/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Admission } from './admission.ts';
import { loadSigningKeys } from './state-folder.ts';

let folder: string;
let admission: Admission;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-admission-'));
  admission = new Admission(await loadSigningKeys(folder), 'reef');
});
afterAll(() => rm(folder, { recursive: true }));

const handshake = (invite: string, role = 'node') => ({ protocol: PROTOCOL_VERSION, role, invite });

describe('the signing key', () => {
  test('is made at the first start, readable by its owner alone, and kept', async () => {
    const { mode } = await stat(join(folder, 'signing-key.json'));
    expect(mode & 0o777).toBe(0o600);
    const again = new Admission(await loadSigningKeys(folder), 'reef');
    await expect(again.admit(handshake(await admission.invite('node', 60)))).resolves.toMatchObject({ role: 'node' });
  });

  test('of another mesh opens no door here', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'shoal-admission-'));
    const other = new Admission(await loadSigningKeys(elsewhere), 'reef');
    await expect(admission.admit(handshake(await other.invite('node', 60)))).rejects.toMatchObject({
      code: 'INVITE_INVALID',
    });
    await rm(elsewhere, { recursive: true });
  });
});

describe('admit', () => {
  test('gives a newcomer an id of its role and a session that brings it back as itself', async () => {
    const { peerId, session } = await admission.admit(handshake(await admission.invite('client', 60), 'client'));
    expect(peerId).toMatch(/^client_/);
    const back = await admission.admit({ protocol: PROTOCOL_VERSION, role: 'client', session });
    expect(back.peerId).toBe(peerId);
  });

  test('refuses an expired invite by INVITE_EXPIRED', async () => {
    await expect(admission.admit(handshake(await admission.invite('node', -1)))).rejects.toMatchObject({
      code: 'INVITE_EXPIRED',
    });
  });

  test('refuses an invite altered at any place by INVITE_INVALID', async () => {
    const invite = await admission.invite('node', 60);
    for (let at = 0; at < invite.length; at += 7) {
      if (invite[at] === '.') continue;
      const altered = `${invite.slice(0, at)}${invite[at] === 'A' ? 'B' : 'A'}${invite.slice(at + 1)}`;
      await expect(admission.admit(handshake(altered)), `altered at ${at}`).rejects.toMatchObject({
        code: 'INVITE_INVALID',
      });
    }
  });

  test('refuses an unsigned token, a session shown as an invite, and an invite shown as a session', async () => {
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${encode({ alg: 'none', typ: 'invite' })}.${encode({ role: 'admin', aud: 'reef', exp: 4e9 })}.`;
    const invite = await admission.invite('node', 60);
    const { session } = await admission.admit(handshake(invite));
    await expect(admission.admit(handshake(unsigned))).rejects.toMatchObject({ code: 'INVITE_INVALID' });
    await expect(admission.admit(handshake(session))).rejects.toMatchObject({ code: 'INVITE_INVALID' });
    const shown = { protocol: PROTOCOL_VERSION, role: 'node', session: invite };
    await expect(admission.admit(shown)).rejects.toMatchObject({ code: 'INVITE_INVALID' });
  });

  test('keeps roles apart: a node invite makes no client, no client invite an admin; an admin may be anything', async () => {
    for (const invited of ROLES) {
      for (const role of ROLES) {
        const attempt = admission.admit(handshake(await admission.invite(invited, 60), role));
        if (invited === role || invited === 'admin') await expect(attempt).resolves.toMatchObject({ role });
        else await expect(attempt).rejects.toMatchObject({ code: 'ROLE_NOT_ALLOWED' });
      }
    }
  });

  test('tells a peer of another protocol version so, whatever else it says', async () => {
    await expect(admission.admit({ protocol: PROTOCOL_VERSION + 1, news: true })).rejects.toMatchObject({
      code: 'VERSION_SKEW',
      reason: `protocol version is ${PROTOCOL_VERSION + 1}, this coordinator speaks ${PROTOCOL_VERSION}`,
    });
  });

  test('refuses nonsense with the field named', async () => {
    for (const auth of [
      undefined,
      null,
      'hello',
      [],
      { protocol: PROTOCOL_VERSION },
      { protocol: PROTOCOL_VERSION, role: 'king' },
    ]) {
      await expect(admission.admit(auth)).rejects.toMatchObject({ code: 'BAD_FRAME' });
    }
    await expect(admission.admit({ protocol: PROTOCOL_VERSION, role: 'node' })).rejects.toThrow('invite is missing');
  });
});
