import { describe, expect, it } from 'vitest';
import { inviteInText, joinLink, tokenInFragment } from './token.ts';

const JWT = 'eyJhbGciOi.eyJyb2xl_Ijo-x.c2lnbmF0dXJl';

describe('tokenInFragment', () => {
  it('reads the key of its kind', () => {
    expect(tokenInFragment(`#invite=${JWT}`, 'invite')).toBe(JWT);
    expect(tokenInFragment(`#token=${JWT}`, 'client')).toBe(JWT);
    expect(tokenInFragment(`#token=${JWT}`, 'admin')).toBe(JWT);
  });
  it('finds nothing in another kind, an empty value or an empty fragment', () => {
    expect(tokenInFragment(`#token=${JWT}`, 'invite')).toBeNull();
    expect(tokenInFragment('#invite=', 'invite')).toBeNull();
    expect(tokenInFragment('', 'invite')).toBeNull();
  });
});

describe('inviteInText', () => {
  it('takes a join link or the bare token', () => {
    expect(inviteInText(` https://mesh.example/#invite=${JWT}\n`)).toBe(JWT);
    expect(inviteInText(JWT)).toBe(JWT);
  });
  it('refuses anything else', () => {
    expect(inviteInText('hello')).toBeNull();
    expect(inviteInText('https://mesh.example/#token=x')).toBeNull();
    expect(inviteInText('')).toBeNull();
  });
  it('undoes joinLink', () => expect(inviteInText(joinLink('https://mesh.example', JWT))).toBe(JWT));
});
