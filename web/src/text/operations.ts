// Operations in words. Pure.

import type { LampState, OperationState } from '../api/types';

const kinds: Record<string, string> = {
  reboot: 'Reboot',
  'check-in': 'Check in now',
  tunnel: 'Bring the tunnel up',
  'apply-settings': 'Apply settings',
  'renew-certificate': 'Renew the certificate',
  diagnostics: 'Diagnostics bundle',
  'factory-reset': 'Factory reset',
  'install-application': 'Install an application',
  'remove-application': 'Remove an application',
  upgrade: 'Upgrade',
};

export function operationName(kind: string): string {
  return kinds[kind] ?? kind;
}

const states: Record<OperationState, { lamp: LampState; word: string }> = {
  queued: { lamp: 'pending', word: 'Waiting' },
  taken: { lamp: 'pending', word: 'Taken' },
  running: { lamp: 'pending', word: 'Running' },
  done: { lamp: 'up', word: 'Done' },
  failed: { lamp: 'down', word: 'Failed' },
  refused: { lamp: 'down', word: 'Refused' },
  cancelled: { lamp: 'resting', word: 'Cancelled' },
  expired: { lamp: 'degraded', word: 'Expired' },
  unknown: { lamp: 'unknown', word: 'Unknown' },
};

export function operationState(state: OperationState): { lamp: LampState; word: string } {
  return states[state] ?? states.unknown;
}

export function isOpen(state: OperationState): boolean {
  return state === 'queued' || state === 'taken' || state === 'running';
}

const bare = /^(\d+) (?:of|\/) (\d+)/;

/** 0 to 1 if the gateway says how far it is: result {done, of}, or a text that begins with "31 of 48". */
export function operationShare(operation: { text: string; result?: Record<string, unknown> }): number | null {
  const { done, of } = operation.result ?? {};
  if (typeof done === 'number' && typeof of === 'number' && of > 0) return Math.min(1, done / of);
  const found = bare.exec(operation.text);
  const whole = Number(found?.[2]);
  return found && whole > 0 ? Math.min(1, Number(found[1]) / whole) : null;
}
