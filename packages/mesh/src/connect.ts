/** `connect()`, given its adapters: the composition roots `client.ts` and `client-node.ts` name them. */
import type { Clock, Random } from '@shoal/base';
import type { LoadKernels } from './client/boundary-codecs.ts';
import { MeshClient } from './client/mesh-client.ts';
import type { Transport } from './connection.ts';
import type { ConnectOptions, Mesh } from './sdk.ts';
import type { OpenSignaling, Signaling, Welcome } from './signaling.ts';
import type { TensorPort } from './tensor-port.ts';

const ADMISSION_DEADLINE_MS = 10_000;

export interface ConnectParts {
  readonly open: OpenSignaling;
  readonly transport: (signaling: Signaling, welcome: Welcome, coordinatorUrl: string) => Transport;
  readonly tensors: TensorPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly loadKernels: LoadKernels;
}

/** Joins a mesh as a client. @throws MeshError INVITE_INVALID, INVITE_EXPIRED, ROLE_NOT_ALLOWED, COORDINATOR_LOST … */
export async function connectWith(parts: ConnectParts, url: string, options: ConnectOptions): Promise<Mesh> {
  const { signaling, welcome } = await parts.open({
    url,
    handshake: { role: 'client', invite: options.token },
    deadlineMs: options.deadlineMs ?? ADMISSION_DEADLINE_MS,
    signal: options.signal,
  });
  const { tensors, clock, random, loadKernels } = parts;
  const transport = parts.transport(signaling, welcome, url);
  return new MeshClient({ signaling, welcome, transport, tensors, clock, random, loadKernels });
}
