// Paths to pages. Links are plain <a href>; a click on one of ours stays in the page.

import { computed, signal } from '@preact/signals';

export { match } from './match';

export interface Place {
  path: string;
  query: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });

export const place = signal<Place>(here());
/** Counts moves from page to page (not of the query), for focus and announcements. */
export const moves = signal(0);
export const query = computed(() => place.value.query);

let guard: (() => boolean) | null = null;

/** A form with changes asks before it is left; the function says whether leaving is fine. */
export function guardLeaving(ask: (() => boolean) | null): void {
  guard = ask;
}

export function navigate(to: string, how: 'push' | 'replace' = 'push'): void {
  const url = new URL(to, location.href);
  const isOther = url.pathname !== location.pathname;
  if (isOther && guard && !guard()) return;
  if (isOther) guard = null;
  if (how === 'push') history.pushState(null, '', url);
  else history.replaceState(null, '', url);
  place.value = here();
  if (isOther) {
    moves.value++;
    scrollTo(0, 0);
  }
}

/** Changes members of the query; null takes one away. */
export function setQuery(change: Record<string, string | null>, how: 'push' | 'replace' = 'replace'): void {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === '') next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  navigate(location.pathname + (text === '' ? '' : `?${text}`), how);
}

function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.composedPath().find((one): one is HTMLAnchorElement => one instanceof HTMLAnchorElement);
  if (!link || link.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.pathname === location.pathname && link.hash !== '') return; // within the page
  event.preventDefault();
  navigate(link.href);
}

export function startRouter(): void {
  document.addEventListener('click', onClick);
  addEventListener('popstate', () => {
    const isOther = place.value.path !== location.pathname;
    place.value = here();
    if (isOther) moves.value++;
  });
}
