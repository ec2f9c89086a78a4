// What each user set for himself; kept by the server, so that it is the same in every browser.

import { effect, signal } from '@preact/signals';
import { api } from '../api/client';

export interface SavedFilter {
  name: string;
  /** Of GET /gateways: "tunnel=down&kind=amm". */
  query: string;
}

export interface Preferences {
  theme: 'system' | 'light' | 'dark';
  /** Shortcuts of one key. */
  keys: boolean;
  filters: SavedFilter[];
  /** Of the dashboard, by its own names. */
  columns: Record<string, unknown>;
  /** More, by page: a page keeps its own member. */
  pages: Record<string, unknown>;
}

export const standardPreferences: Preferences = { theme: 'system', keys: true, filters: [], columns: {}, pages: {} };

/** What came from the server may be of another release. */
export function readPreferences(json: unknown): Preferences {
  const from = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  const object = (value: unknown) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {});
  const filters = Array.isArray(from['filters']) ? from['filters'] : [];
  return {
    theme: from['theme'] === 'light' || from['theme'] === 'dark' ? from['theme'] : 'system',
    keys: from['keys'] !== false,
    filters: filters
      .filter((one): one is SavedFilter => typeof one?.name === 'string' && typeof one?.query === 'string')
      .slice(0, 20),
    columns: object(from['columns']) as Record<string, unknown>,
    pages: object(from['pages']) as Record<string, unknown>,
  };
}

function cached(): Preferences {
  try {
    return readPreferences(JSON.parse(localStorage.getItem('amm-preferences') ?? 'null'));
  } catch {
    return standardPreferences;
  }
}

/** Begins as this browser knew them, so that the first picture has the right colours. */
export const preferences = signal<Preferences>(cached());

let timer: ReturnType<typeof setTimeout> | undefined;

export async function loadPreferences(): Promise<void> {
  try {
    preferences.value = readPreferences(await api.get('/me/preferences'));
  } catch {
    // those of this browser stay
  }
}

export function setPreferences(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change };
  clearTimeout(timer);
  timer = setTimeout(() => void api.put('/me/preferences', preferences.value).catch(() => undefined), 500);
}

export function startPreferences(): void {
  effect(() => {
    const { theme } = preferences.value;
    if (theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    try {
      localStorage.setItem('amm-preferences', JSON.stringify(preferences.value));
    } catch {
      // a browser that keeps nothing
    }
  });
}
