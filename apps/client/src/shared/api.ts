/** The coordinator's API, with every failure as a `MeshError`. */
import { MeshError, REASONS, type ReasonCode } from '@shoal/protocol';

/** `GET /api/v1/mesh`: what anybody may know. */
export interface MeshFacts {
  readonly name: string;
  readonly description: string;
  readonly models: readonly { readonly model: string; readonly version: number; readonly weightBytes: number }[];
  readonly nodes: number;
  readonly protocol: number;
}

/** One entry of `GET /samples/pictures.json`. */
export interface SamplePicture {
  readonly name: string;
  readonly url: string;
  readonly alt: string;
  readonly licence: string;
}

export interface GetOptions {
  readonly token?: string;
  readonly signal?: AbortSignal;
}

/** How pages ask: given to them by their composition root. */
export type GetJson = <Reply>(path: string, options?: GetOptions) => Promise<Reply>;

/** A request that takes longer is given up: the pages ask again by themselves. */
const ANSWER_DEADLINE_MS = 10_000;

/** How pages change something. */
export type SendJson = (method: 'PATCH' | 'POST', path: string, body: object) => Promise<unknown>;

export const getJson: GetJson = async <Reply>(path: string, options: GetOptions = {}): Promise<Reply> =>
  (await call(path, options, { cache: 'no-store' })) as Reply;

/** Changes, with the token of an admin. */
export const sendJsonAs =
  (token: string): SendJson =>
  (method, path, body) =>
    call(path, { token }, { method, body: JSON.stringify(body) });

async function call(path: string, { token, signal }: GetOptions, init: RequestInit): Promise<unknown> {
  const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
  } catch (error) {
    if (signal?.aborted === true) throw new MeshError('CANCELLED', undefined, { cause: error });
    throw new MeshError('COORDINATOR_LOST', undefined, { cause: error });
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, body);
  if (body === null) throw new MeshError('INTERNAL', `${path} answered with something that is not JSON`);
  return body;
}

const isReasonCode = (value: unknown): value is ReasonCode => typeof value === 'string' && value in REASONS;

/** The server's own code and reason (`{ error: { code, reason } }`) where it gives them, else what the status means. */
export function refusal(status: number, body: unknown): MeshError {
  const { code, reason } = record(record(body)['error']);
  const text = typeof reason === 'string' && reason !== '' ? reason : undefined;
  if (isReasonCode(code)) return new MeshError(code, text);
  if (status === 401) return new MeshError('INVITE_INVALID', text);
  if (status === 403) return new MeshError('ROLE_NOT_ALLOWED', text);
  if (status === 429) return new MeshError('RATE_LIMITED', text);
  return new MeshError('INTERNAL', text ?? `the coordinator answered with status ${status}`);
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
