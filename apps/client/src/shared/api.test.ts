import { expect, it } from 'vitest';
import { refusal } from './api.ts';

it.each([
  [400, { error: { code: 'MODEL_NOT_FOUND', reason: 'no model "x"' } }, 'MODEL_NOT_FOUND: no model "x"'],
  [401, null, 'INVITE_INVALID: The invite is not one of this mesh, or was altered.'],
  [403, { error: { code: 'made up' } }, 'ROLE_NOT_ALLOWED: The invite does not allow this role.'],
  [429, 'busy', 'RATE_LIMITED: Too many attempts in a short time.'],
  [500, {}, 'INTERNAL: the coordinator answered with status 500'],
])('status %d with body %j is %s', (status, body, message) => expect(refusal(status, body).message).toBe(message));
