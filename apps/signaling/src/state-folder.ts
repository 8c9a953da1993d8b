/** What outlives a run: the key that signs invites and sessions, made at the first start and readable by its owner alone. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';

export type SigningKey = Awaited<ReturnType<typeof importJWK>>;

export interface SigningKeys {
  readonly privateKey: SigningKey;
  readonly publicKey: SigningKey;
}

const ALGORITHM = 'EdDSA';
const FILE = 'signing-key.json';

/** Reads the key pair of a state folder, or makes one. */
export async function loadSigningKeys(stateFolder: string): Promise<SigningKeys> {
  await mkdir(stateFolder, { recursive: true });
  const file = join(stateFolder, FILE);
  const jwk = (await readJwk(file)) ?? (await writeJwk(file));
  const { d: _private, ...publicJwk } = jwk;
  return { privateKey: await importJWK(jwk, ALGORITHM), publicKey: await importJWK(publicJwk, ALGORITHM) };
}

async function readJwk(file: string): Promise<JWK | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as JWK;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeJwk(file: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true, crv: 'Ed25519' });
  const jwk = await exportJWK(privateKey);
  await writeFile(`${file}.part`, JSON.stringify(jwk), { mode: 0o600 });
  await chmod(`${file}.part`, 0o600);
  await rename(`${file}.part`, file);
  return jwk;
}
