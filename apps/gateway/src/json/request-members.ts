/** The object that every inference request is: its signature, and where its other members begin. */
import { DEFAULT_SIGNATURE, MeshError, type ModelInfo, type Signature } from '@shoal/protocol';
import { OPEN_OBJECT, type JsonReader } from './json-reader.ts';

export interface RequestMembers {
  readonly signatureName: string;
  /** Offset of a member's value. */
  readonly offsets: ReadonlyMap<string, number>;
}

export const badInput = (text: string): MeshError => new MeshError('BAD_INPUT', text);

/**
 * Checks the whole document's syntax, so that what is read later may be wrong but not malformed. Of two members of
 * one name the first counts.
 * @throws MeshError BAD_INPUT
 */
export function readMembers(reader: JsonReader): RequestMembers {
  if (reader.next() === undefined) throw badInput('JSON Parse error: The document is empty');
  if (reader.kind() !== 'Object') throw badInput(`JSON Value: ${reader.snippet()} Is not object`);
  const offsets = new Map<string, number>();
  let signatureName = '';
  if (reader.enter(OPEN_OBJECT)) {
    do {
      const key = reader.readKey();
      const isKnown = offsets.has(key);
      if (!isKnown) offsets.set(key, reader.at);
      if (key === 'signature_name' && !isKnown) {
        signatureName = readSignatureName(reader);
      } else {
        reader.skipValue();
      }
    } while (reader.nextMember());
  }
  return { signatureName: signatureName === '' ? DEFAULT_SIGNATURE : signatureName, offsets };
}

function readSignatureName(reader: JsonReader): string {
  if (reader.kind() === 'String') return reader.readString();
  throw badInput(
    `JSON Value: ${reader.snippet()} not formatted correctly. 'signature_name' key must be a string value.`,
  );
}

/** @throws MeshError SIGNATURE_NOT_FOUND */
export function findSignature(signatures: ModelInfo['signatures'], name: string): Signature {
  const signature = Object.hasOwn(signatures, name) ? signatures[name] : undefined;
  if (signature !== undefined) return signature;
  throw new MeshError('SIGNATURE_NOT_FOUND', `Serving signature name: "${name}" not found in signature def`);
}
