// The time, moving on for what shows ages. By the server's clock: a laptop's may be wrong.

import { signal } from '@preact/signals';
import { serverNow } from '../api/client';

/** Seconds since 1970; moves every 5 s while the page is seen. */
export const now = signal(serverNow());

function tick(): void {
  if (!document.hidden) now.value = serverNow();
}

export function startClock(): void {
  setInterval(tick, 5000);
  document.addEventListener('visibilitychange', tick);
}
