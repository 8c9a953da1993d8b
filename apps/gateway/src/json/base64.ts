/** `{"b64": "<base64>"}`: the one JSON object that is a value, for strings that JSON may not be able to spell. */
import { decodeUtf8, OPEN_OBJECT, type JsonReader } from './json-reader.ts';

/**
 * What stands in `{"b64": "<text>"}`, or null, with the cursor anywhere, for any other object.
 * @throws MeshError BAD_INPUT for what is no JSON
 */
export function readBase64Object(reader: JsonReader): string | null {
  if (!reader.enter(OPEN_OBJECT) || reader.readKey() !== 'b64' || reader.kind() !== 'String') return null;
  const text = reader.readString();
  return reader.nextMember() ? null : text;
}

type Base64Text =
  | { readonly text: string; readonly refusal?: never }
  | { readonly text?: never; readonly refusal: string };

/** Decodes as `absl::Base64Unescape` does: white space passes, padding may be left out. */
export function base64Text(base64: string): Base64Text {
  const compact = base64.replaceAll(/[ \t\r\n]/g, '');
  const letters = compact.replace(/={1,2}$/, '');
  const isPadded = letters.length !== compact.length;
  const isWhole = letters.length % 4 !== 1 && (!isPadded || compact.length % 4 === 0);
  if (!isWhole || !/^[A-Za-z0-9+/]*$/.test(letters)) return { refusal: 'Unable to base64 decode' };
  try {
    return { text: decodeUtf8(Buffer.from(letters, 'base64')) };
  } catch {
    // String tensors travel as UTF-8 text from node to node: other bytes would arrive changed.
    return { refusal: 'The base64 data is not UTF-8 text, which string tensors are limited to' };
  }
}
