/** Who may come in: signed invites (JWT, EdDSA) for newcomers, sessions for those who come back. No default secret exists. */
import {
  handshakeSchema,
  MeshError,
  parseWith,
  peerIdSchema,
  PROTOCOL_VERSION,
  roleSchema,
  ROLES,
  type PeerId,
  type Role,
} from '@shoal/protocol';
import { errors, jwtVerify, SignJWT } from 'jose';
import { randomBytes } from 'node:crypto';
import type { SigningKeys } from './state-folder.ts';

const ALGORITHM = 'EdDSA';
/** A peer that was away longer than this needs its invite again. */
const SESSION_SECONDS = 24 * 3600;

export interface Admitted {
  readonly peerId: PeerId;
  readonly role: Role;
  /** Shown at a reconnect to come back as the same peer. */
  readonly session: string;
}

export class Admission {
  readonly #keys: SigningKeys;
  readonly #mesh: string;

  constructor(keys: SigningKeys, mesh: string) {
    this.#keys = keys;
    this.#mesh = mesh;
  }

  /** Signs an invite for a role. */
  invite(role: Role, seconds: number): Promise<string> {
    return this.#sign('invite', seconds, { role, jti: randomBytes(12).toString('base64url') });
  }

  /**
   * Checks a socket's handshake.
   * @throws MeshError VERSION_SKEW, BAD_FRAME, INVITE_INVALID, INVITE_EXPIRED or ROLE_NOT_ALLOWED
   */
  async admit(auth: unknown): Promise<Admitted> {
    // The version comes first: a newer peer's handshake need not parse here.
    const version = typeof auth === 'object' && auth !== null && 'protocol' in auth ? auth.protocol : undefined;
    if (typeof version === 'number' && version !== PROTOCOL_VERSION) {
      throw new MeshError(
        'VERSION_SKEW',
        `protocol version is ${version}, this coordinator speaks ${PROTOCOL_VERSION}`,
      );
    }
    const { role, invite, session } = parseWith(handshakeSchema, auth, 'handshake');
    if (session !== undefined) {
      const payload = await this.#verify('session', session);
      const peerId = peerIdSchema.parse(payload['sub']);
      if (payload['role'] !== role)
        throw new MeshError('ROLE_NOT_ALLOWED', `the session is of role ${String(payload['role'])}`);
      return { peerId, role, session: await this.#session(peerId, role) };
    }
    if (invite === undefined) throw new MeshError('INVITE_INVALID', 'invite is missing');
    const allowed = roleSchema.parse((await this.#verify('invite', invite))['role']);
    if (allowed !== role && allowed !== 'admin') {
      throw new MeshError('ROLE_NOT_ALLOWED', `the invite is for role ${allowed}, role is ${role}`);
    }
    const peerId = peerIdSchema.parse(`${role}_${randomBytes(9).toString('base64url')}`);
    return { peerId, role, session: await this.#session(peerId, role) };
  }

  /**
   * Checks the bearer token of an HTTP request: an invite whose role is one of `roles`.
   * @throws MeshError INVITE_INVALID, INVITE_EXPIRED or ROLE_NOT_ALLOWED
   */
  async authorize(token: string | undefined, roles: readonly Role[]): Promise<void> {
    if (token === undefined)
      throw new MeshError('INVITE_INVALID', 'the authorization header with a bearer token is missing');
    const role = (await this.#verify('invite', token))['role'];
    if (!ROLES.includes(role as Role) || !roles.includes(role as Role)) {
      throw new MeshError('ROLE_NOT_ALLOWED', `the token is for role ${String(role)}, needed is ${roles.join(' or ')}`);
    }
  }

  #session(peerId: PeerId, role: Role): Promise<string> {
    return this.#sign('session', SESSION_SECONDS, { sub: peerId, role });
  }

  #sign(kind: string, seconds: number, payload: Record<string, string>): Promise<string> {
    return new SignJWT(payload)
      .setProtectedHeader({ alg: ALGORITHM, typ: kind })
      .setAudience(this.#mesh)
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(this.#keys.privateKey);
  }

  async #verify(kind: string, token: string): Promise<Record<string, unknown>> {
    try {
      const { payload } = await jwtVerify(token, this.#keys.publicKey, {
        audience: this.#mesh,
        algorithms: [ALGORITHM],
        typ: kind,
        requiredClaims: ['exp'],
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired)
        throw new MeshError('INVITE_EXPIRED', `the ${kind} has expired`, { cause: error });
      throw new MeshError('INVITE_INVALID', `the ${kind} is not one of this mesh, or was altered`, { cause: error });
    }
  }
}
