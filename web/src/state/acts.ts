// What is asked of a gateway from more than one place.

import { signal } from '@preact/signals';
import { api, asApiError } from '../api/client';
import type { GatewayCompact, Operation } from '../api/types';
import { say } from './messages';
import { navigate } from './router';

type Named = Pick<GatewayCompact, 'id' | 'name'>;

/** An act that waits for a "yes"; the frame shows the dialog. */
export const rebootOf = signal<Named | null>(null);

export function order(gateway: string, kind: string, args?: Record<string, unknown>): Promise<Operation> {
  return api.post<Operation>(`/gateways/${gateway}/operations`, { kind, ...(args ? { args } : {}) });
}

export async function cancelOperation(id: string): Promise<Operation> {
  return api.post<Operation>(`/operations/${id}/cancel`);
}

export async function checkInNow(gateway: Named): Promise<Operation | undefined> {
  try {
    const operation = await order(gateway.id, 'check-in');
    say('pending', `${gateway.name} is asked to check in`, { label: 'Show', run: () => navigate(`/gateways/${gateway.id}`) });
    return operation;
  } catch (error) {
    say('down', `${gateway.name}: ${asApiError(error).message}`);
    return undefined;
  }
}

export function orderReboot(gateway: Named): void {
  rebootOf.value = gateway;
}

/** The page of the gateway does it: it shows each state of the button. */
export function openAcemanager(id: string): void {
  navigate(`/gateways/${id}?do=open`);
}
