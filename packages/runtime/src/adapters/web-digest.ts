/** SHA-256 by the platform where the context is secure, else in plain JavaScript. */
import { sha256 } from '@noble/hashes/sha2.js';
import type { Digest } from '../shard-store.ts';

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export const digest: Digest = async (bytes) =>
  // A page on plain http has no `crypto.subtle`.
  hex('subtle' in crypto ? new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)) : sha256(bytes));
