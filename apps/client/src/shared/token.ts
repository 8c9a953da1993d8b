/**
 * Invites and tokens arrive in the URL's fragment, which no server sees. A page keeps its own for as long as the
 * tab lives and takes it out of the address bar, so that it is neither bookmarked nor shared by accident.
 */

export type TokenKind = 'invite' | 'client' | 'admin';

/** What the fragment calls each kind. */
const FRAGMENT_KEY: Readonly<Record<TokenKind, string>> = { invite: 'invite', client: 'token', admin: 'token' };

/** The token in a fragment such as `#invite=…`; null where there is none. */
export function tokenInFragment(fragment: string, kind: TokenKind): string | null {
  const token = new URLSearchParams(fragment.replace(/^#/, '')).get(FRAGMENT_KEY[kind])?.trim();
  return token === undefined || token === '' ? null : token;
}

/** The invite in what somebody pasted: a join link, or the bare token. */
export function inviteInText(text: string): string | null {
  const trimmed = text.trim();
  const hash = trimmed.indexOf('#');
  if (hash >= 0) return tokenInFragment(trimmed.slice(hash), 'invite');
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(trimmed) ? trimmed : null;
}

/** The link that lets another device join with the same invite. */
export function joinLink(origin: string, invite: string): string {
  return `${origin}/#invite=${encodeURIComponent(invite)}`;
}

const storageKey = (kind: TokenKind): string => `shoal.${kind}`;

/** Takes this page's token from the address bar, or the one this tab kept. */
export function takeToken(kind: TokenKind): string | null {
  const fresh = tokenInFragment(location.hash, kind);
  if (fresh === null) return sessionStorage.getItem(storageKey(kind));
  keepToken(kind, fresh);
  history.replaceState(null, '', location.pathname + location.search);
  return fresh;
}

export function keepToken(kind: TokenKind, token: string): void {
  sessionStorage.setItem(storageKey(kind), token);
}

/** Forgets a token that was refused, so that a reload does not show it again. */
export function dropToken(kind: TokenKind): void {
  sessionStorage.removeItem(storageKey(kind));
}
