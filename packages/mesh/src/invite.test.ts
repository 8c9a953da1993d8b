import { expect, test } from 'vitest';
import { parseInvite } from './invite.ts';

test('a join link gives its origin and its token, a token itself', () => {
  expect(parseInvite('http://localhost:8080/#invite=a.b.c')).toEqual({ url: 'http://localhost:8080', token: 'a.b.c' });
  expect(parseInvite(' https://mesh.example/join?x=1#lang=en&invite=a.b-c.d_e&y ')).toEqual({
    url: 'https://mesh.example',
    token: 'a.b-c.d_e',
  });
  expect(parseInvite('a.b.c')).toEqual({ url: undefined, token: 'a.b.c' });
});

test('anything else is refused by its code', () => {
  for (const text of ['', 'hello', 'http://localhost:8080/', 'javascript:alert(1)#invite=a.b.c']) {
    expect(() => parseInvite(text)).toThrow('INVITE_INVALID');
  }
});
