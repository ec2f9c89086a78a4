// Who is logged in, and what he may do.

import { computed, signal } from '@preact/signals';
import { api, ApiError, onUnauthorised } from '../api/client';
import type { Binding, Me } from '../api/types';
import { loadPreferences } from './preferences';
import { startStream, stopStream } from './stream';

export type Session =
  | { state: 'unknown'; error?: ApiError } // not asked yet, or the server does not answer
  | { state: 'out'; why: string | null }
  | { state: 'in'; me: Me };

export const session = signal<Session>({ state: 'unknown' });
export const me = computed(() => (session.value.state === 'in' ? session.value.me : null));

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('amm-session');

function ended(why: string | null): void {
  if (session.value.state === 'out') return;
  stopStream();
  session.value = { state: 'out', why };
}

function entered(who: Me): void {
  session.value = { state: 'in', me: who };
  if (who.must_change_password) return;
  startStream(() => ended('Signed out: the login has ended.'));
  void loadPreferences();
}

export async function loadSession(): Promise<void> {
  onUnauthorised(() => ended('Signed out after a time without activity.'));
  channel?.addEventListener('message', (event) => {
    if (event.data === 'out') ended('Signed out in another tab.');
    else if (session.value.state !== 'in') void loadSession();
  });
  try {
    entered(await api.get<Me>('/me', { isLogin: true }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) session.value = { state: 'out', why: null };
    else if (error instanceof ApiError) session.value = { state: 'unknown', error };
  }
}

/** `code`: of an authenticator, where the server asks for one. */
export async function logIn(user: string, password: string, code: string): Promise<void> {
  const body = { user, password, ...(code === '' ? {} : { code }) };
  entered(await api.post<Me>('/login', body, { isLogin: true }));
  channel?.postMessage('in');
}

export async function changePassword(old: string, fresh: string): Promise<void> {
  await api.post('/me/password', { old, new: fresh }, { isLogin: true });
  entered(await api.get<Me>('/me'));
}

export async function logOut(): Promise<void> {
  await api.post('/logout').catch(() => undefined);
  channel?.postMessage('out');
  ended(null);
}

// ---- rights: the server decides; this only says which buttons make sense ----

export type Act = 'view' | 'operate' | 'admin' | 'system';
const rank: Record<Act, number> = { view: 1, operate: 2, admin: 3, system: 4 };
const rankOf: Record<Binding['role'], number> = { viewer: 1, operator: 2, 'tenant-admin': 3, 'system-admin': 4 };
const isSet = (id: string | null | undefined) => id !== undefined && id !== null && id !== '0';

/** `above`: the group itself with all that it lies in. Without `tenant`: anywhere. */
export function may(act: Act, tenant?: string, above: readonly string[] = []): boolean {
  return (me.value?.roles ?? []).some((one) => {
    if (rankOf[one.role] < rank[act]) return false;
    if (tenant === undefined || !isSet(one.tenant)) return true;
    return one.tenant === tenant && (!isSet(one.group) || above.includes(one.group));
  });
}

/** "operator": the highest role, for people. */
export const roleName = computed(() => {
  const roles = [...(me.value?.roles ?? [])].sort((a, b) => rankOf[b.role] - rankOf[a.role]);
  return roles[0]?.role.replace('-', ' ') ?? 'no role';
});
