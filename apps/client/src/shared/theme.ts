/** Light, dark, or what the system says: kept per browser, shown by an attribute that `tokens.css` reads. */

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const STORAGE_KEY = 'shoal.theme';

const isTheme = (text: string | null): text is Theme => text !== null && (THEMES as readonly string[]).includes(text);

export function keptTheme(): Theme {
  const kept = localStorage.getItem(STORAGE_KEY);
  return isTheme(kept) ? kept : 'system';
}

export function applyTheme(theme: Theme): void {
  if (theme === 'system') {
    localStorage.removeItem(STORAGE_KEY);
    delete document.documentElement.dataset['theme'];
  } else {
    localStorage.setItem(STORAGE_KEY, theme);
    document.documentElement.dataset['theme'] = theme;
  }
}
