// Keys. Single ones do nothing inside fields and can be switched off; Esc always works.

import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { preferences } from './preferences';

export interface Shortcut {
  /** "j", "g d", "Escape". */
  keys: string;
  label: string;
}
interface Entry extends Shortcut {
  run: () => void;
}

/** The newest wins; those that are shown by "?". */
export const shortcuts = signal<readonly Entry[]>([]);

let prefix = '';
let timer: ReturnType<typeof setTimeout> | undefined;

const isField = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const isEscape = event.key === 'Escape';
  if (!isEscape && (isField(event.target) || !preferences.value.keys)) return;
  if (document.querySelector('dialog[open]')) return; // it has its own
  const keys = prefix === '' ? event.key : `${prefix} ${event.key}`;
  const found = [...shortcuts.value].reverse().find((one) => one.keys === keys);
  prefix = '';
  clearTimeout(timer);
  if (found) {
    event.preventDefault();
    found.run();
  } else if (shortcuts.value.some((one) => one.keys.startsWith(`${keys} `))) {
    prefix = keys;
    timer = setTimeout(() => (prefix = ''), 1500);
  }
}

export function startShortcuts(): void {
  document.addEventListener('keydown', onKey);
}

/** While the component is there, and `enabled`. */
export function useShortcut(keys: string, label: string, run: () => void, enabled = true): void {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => {
    if (!enabled) return undefined;
    const entry: Entry = { keys, label, run: () => latest.current() };
    shortcuts.value = [...shortcuts.value, entry];
    return () => void (shortcuts.value = shortcuts.value.filter((one) => one !== entry));
  }, [keys, label, enabled]);
}
