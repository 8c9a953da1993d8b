/** An invite as people hand it around: the token itself, or a link that carries it after `#invite=` or `#token=`. */
import { MeshError } from '@shoal/protocol';

export interface ParsedInvite {
  readonly token: string;
  /** Origin of the link, if it was one. */
  readonly url: string | undefined;
}

/** @throws MeshError INVITE_INVALID */
export function parseInvite(invite: string): ParsedInvite {
  const text = invite.trim();
  const link = /^(https?:\/\/[^/?#]+)[^#]*#(?:.*&)?(?:invite|token)=([^&]+)/.exec(text);
  if (link !== null) return { url: link[1], token: link[2] ?? '' };
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return { url: undefined, token: text };
  throw new MeshError('INVITE_INVALID', 'invite is neither a token nor a link with #invite= or #token=');
}
