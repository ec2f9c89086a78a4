// The pages demand Trusted Types: no text becomes a script. The one exception is the address of our own worker.

declare const STREAM_WORKER: string; // set by build.mjs

interface Policy {
  createScriptURL(url: string): unknown;
}
interface Factory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

function workerUrl(): string {
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  if (!factory) return STREAM_WORKER;
  const policy = factory.createPolicy('amm', {
    createScriptURL(url) {
      if (url !== STREAM_WORKER) throw new TypeError('not one of our scripts');
      return url;
    },
  });
  return policy.createScriptURL(STREAM_WORKER) as string; // TypeScript's DOM does not know the type yet
}

/** null: this browser has none. */
export function openStreamWorker(): SharedWorker | null {
  try {
    return typeof SharedWorker === 'undefined' ? null : new SharedWorker(workerUrl(), { name: 'amm' });
  } catch {
    return null;
  }
}
