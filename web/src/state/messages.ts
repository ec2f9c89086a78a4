// What is said after an act: briefly on the screen, and to screen readers. Errors never go here.

import { signal } from '@preact/signals';
import type { LampState } from '../api/types';

export interface Message {
  id: number;
  state: LampState;
  text: string;
  action?: { label: string; run: () => void };
}

export const messages = signal<Message[]>([]);
/** Read out by the live region. */
export const spoken = signal('');

let last = 0;

export function dismiss(id: number): void {
  messages.value = messages.value.filter((one) => one.id !== id);
}

export function say(state: LampState, text: string, action?: Message['action']): void {
  const id = ++last;
  messages.value = [...messages.value.slice(-2), action ? { id, state, text, action } : { id, state, text }];
  setTimeout(() => dismiss(id), action ? 12000 : 6000);
}

export function announce(text: string): void {
  spoken.value = '';
  setTimeout(() => (spoken.value = text), 50);
}
