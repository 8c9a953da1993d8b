/**
 * Two network namespaces on a bridge, so that what two processes send each other passes the kernel's own rate limit while
 * all else they do goes at full speed. Needs root, iproute2 and a kernel with veth and htb.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For benchmarks (RFC 2544). */
const SUBNET = '198.18.77';
const BRIDGE = 'shoal-bench';
/** What waits before the limit, as in a home's router: a quarter of a second at 2 Mbit/s. */
const QUEUE_BYTES = 64 * 1024;
const UNLIMITED = '10gbit';

export interface Namespaces {
  /** Of this process on the bridge. */
  readonly host: string;
  readonly names: readonly [string, string];
  /** Limits what the two send each other, each way; null for no limit. */
  limit(bitsPerSecond: number | null): Promise<void>;
  close(): Promise<void>;
}

/** @throws Error where this machine or user may not do that */
export async function makeNamespaces(): Promise<Namespaces> {
  const names = [`${BRIDGE}a`, `${BRIDGE}b`] as const;
  const address = (i: number): string => `${SUBNET}.${i + 1}`;
  const close = async (): Promise<void> => {
    for (const name of names) await run('ip', ['netns', 'del', name]).catch(() => {});
    await run('ip', ['link', 'del', BRIDGE]).catch(() => {});
  };
  // What a run that was interrupted has left.
  await close();
  try {
    await ip(`link add ${BRIDGE} type bridge`);
    await ip(`addr add ${address(0)}/24 dev ${BRIDGE}`);
    await ip(`link set ${BRIDGE} up`);
    for (const [i, name] of names.entries()) {
      await ip(`netns add ${name}`);
      await ip(`link add ${name} type veth peer name eth0 netns ${name}`);
      await ip(`link set ${name} master ${BRIDGE} up`);
      await ip(`-n ${name} addr add ${address(i + 1)}/24 dev eth0`);
      await ip(`-n ${name} link set eth0 up`);
      await ip(`-n ${name} link set lo up`);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const limit = async (bitsPerSecond: number | null): Promise<void> => {
    for (const [i, name] of names.entries()) {
      const tc = (words: string): Promise<unknown> => run('tc', ['-n', name, ...words.split(' ')]);
      await tc('qdisc del dev eth0 root').catch(() => {});
      if (bitsPerSecond === null) continue;
      await tc('qdisc add dev eth0 root handle 1: htb default 10');
      await tc(`class add dev eth0 parent 1: classid 1:10 htb rate ${UNLIMITED} quantum 60000`);
      await tc(`class add dev eth0 parent 1: classid 1:20 htb rate ${bitsPerSecond}bit burst 4k`);
      await tc(`qdisc add dev eth0 parent 1:20 bfifo limit ${QUEUE_BYTES}`);
      const other = address(2 - i);
      await tc(`filter add dev eth0 parent 1: protocol ip u32 match ip dst ${other}/32 flowid 1:20`);
    }
  };
  return { host: address(0), names, limit, close };
}

const ip = (words: string): Promise<unknown> => run('ip', words.split(' '));
