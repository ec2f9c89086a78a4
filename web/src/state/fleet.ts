// The gateway tree: groups with counts at once, gateways of a branch when it is opened, and what changes since.

import { computed, signal } from '@preact/signals';
import { api, asApiError, isAbort, type ApiError } from '../api/client';
import type { GatewayCompact, Lamps, List, Tree, TreeGroup, TreeTenant } from '../api/types';
import { onLive, type LiveEvent } from './stream';
import { childrenOf, collator, directCount, flatten, pathTo, type TreeRow } from './tree';

const BRANCH_MOST = 20000; // gateways that are read for one branch; beyond, search is the way
const SEARCH_MOST = 500;
const COUNT_PAUSE = 5000; // ms between two readings of the counts

export const tree = signal<Tree | null>(null);
export const treeError = signal<ApiError | null>(null);
const wantedTenant = signal<string | null>(sessionStorage.getItem('amm-tenant'));
export const openGroups = signal<ReadonlySet<string>>(new Set());

/** Search in the tree: text, and the query of a saved filter ("tunnel=down"). */
export const treeText = signal('');
export const treeFilter = signal('');
export const treeMatches = signal<{ items: GatewayCompact[]; total: number; isShort: boolean } | null>(null);
export const treeSearchError = signal<ApiError | null>(null);

const byGroup = new Map<string, Map<string, GatewayCompact>>();
const sorted = new Map<string, GatewayCompact[]>();
const groupOf = new Map<string, string>();
const loaded = new Set<string>();
const loading = new Set<string>();
/** What came by events while a branch was read: newer than the answer. null: it is gone. */
const newer = new Map<string, GatewayCompact | null>();
const version = signal(0);

/** The tenant whose tree is shown. */
export const tenant = computed<TreeTenant | null>(() => {
  const all = tree.value?.tenants ?? [];
  return all.find((one) => one.id === wantedTenant.value) ?? all.find((one) => (one.groups[0]?.count ?? 0) > 0) ?? all[0] ?? null;
});

export function selectTenant(id: string): void {
  wantedTenant.value = id;
  try {
    sessionStorage.setItem('amm-tenant', id);
  } catch {
    // a browser that keeps nothing
  }
}

export function findGroup(id: string): { tenant: TreeTenant; group: TreeGroup } | null {
  for (const one of tree.value?.tenants ?? []) {
    const group = one.groups.find((each) => each.id === id);
    if (group) return { tenant: one, group };
  }
  return null;
}

/** From the top of the tenant to the group. */
export function pathOfGroup(id: string): TreeGroup[] {
  const found = findGroup(id);
  return found ? pathTo(found.tenant, id) : [];
}

export const treeRows = computed<TreeRow[]>(() => {
  version.value;
  if (!tenant.value) return [];
  return flatten({
    tenant: tenant.value,
    open: openGroups.value,
    gatewaysOf,
    isLoading: (id) => loading.has(id),
    only: treeMatches.value?.items ?? null,
  });
});

function gatewaysOf(group: string): readonly GatewayCompact[] {
  let list = sorted.get(group);
  if (!list) {
    list = [...(byGroup.get(group)?.values() ?? [])].sort((a, b) => collator.compare(a.name, b.name));
    sorted.set(group, list);
  }
  return list;
}

/** What the tree knows of a gateway; undefined if its branch was not opened. */
export function knownGateway(id: string): GatewayCompact | undefined {
  version.value;
  const group = groupOf.get(id);
  return group === undefined ? undefined : byGroup.get(group)?.get(id);
}

function drop(id: string): void {
  const group = groupOf.get(id);
  if (group === undefined) return;
  byGroup.get(group)?.delete(id);
  sorted.delete(group);
  groupOf.delete(id);
}

function put(gateway: GatewayCompact): void {
  const { id, name, label, tenant: of, group, kind, lamps } = gateway;
  if (groupOf.get(id) !== group) drop(id);
  const members = byGroup.get(group) ?? new Map<string, GatewayCompact>();
  if (members.get(id)?.name !== name) sorted.delete(group);
  byGroup.set(group, members);
  members.set(id, { id, name, label, tenant: of, group, kind, lamps });
  if (sorted.has(group)) sorted.delete(group);
  groupOf.set(id, group);
}

// ---- reading ----

export async function loadTree(): Promise<void> {
  try {
    const answer = await api.get<Tree>('/tree');
    const isFirst = tree.value === null;
    tree.value = answer;
    treeError.value = null;
    if (isFirst && openGroups.value.size === 0) {
      const top = tenant.value?.groups[0];
      if (top) openGroup(top.id);
    }
  } catch (error) {
    if (!isAbort(error)) treeError.value = asApiError(error);
  }
}

async function loadBranch(id: string): Promise<void> {
  const found = findGroup(id);
  if (!found || loading.has(id) || pathOfGroup(id).some((one) => loaded.has(one.id))) return;
  if (directCount(found.group, childrenOf(found.tenant).get(id) ?? []) === 0) return;
  loading.add(id);
  version.value++;
  try {
    const items = await api.all<GatewayCompact>('/gateways', { query: { group: id, fields: 'tree' } }, BRANCH_MOST);
    for (const one of items) {
      const latest = newer.get(one.id);
      if (latest !== null) put(latest ?? one);
    }
    loaded.add(id);
  } catch (error) {
    if (!isAbort(error)) treeError.value = asApiError(error);
  } finally {
    loading.delete(id);
    if (loading.size === 0) newer.clear();
    version.value++;
  }
}

export function openGroup(id: string): void {
  if (!openGroups.value.has(id)) openGroups.value = new Set([...openGroups.value, id]);
  void loadBranch(id);
}

export function closeGroup(id: string): void {
  const next = new Set(openGroups.value);
  next.delete(id);
  openGroups.value = next;
}

/** Opens all that lies above, so that a row is in the tree. */
export function revealGroup(id: string): void {
  const found = findGroup(id);
  if (!found) return;
  if (found.tenant.id !== tenant.value?.id) selectTenant(found.tenant.id);
  for (const one of pathOfGroup(id)) openGroup(one.id);
}

// ---- search ----

let searching: AbortController | null = null;

export async function searchTree(): Promise<void> {
  searching?.abort();
  const text = treeText.value.trim().slice(0, 64);
  if (text === '' && treeFilter.value === '') {
    treeMatches.value = null;
    treeSearchError.value = null;
    return;
  }
  const abort = (searching = new AbortController());
  try {
    const query = {
      ...Object.fromEntries(new URLSearchParams(treeFilter.value)),
      ...(text === '' ? {} : { text }),
      tenant: tenant.value?.id,
      fields: 'tree',
      limit: SEARCH_MOST,
      total: true,
    };
    const answer = await api.get<List<GatewayCompact>>('/gateways', { query, signal: abort.signal });
    treeSearchError.value = null;
    treeMatches.value = {
      items: [...answer.items].sort((a, b) => collator.compare(a.name, b.name)),
      total: answer.total ?? answer.items.length,
      isShort: answer.next !== undefined,
    };
  } catch (error) {
    if (!isAbort(error)) treeSearchError.value = asApiError(error);
  }
}

// ---- what changes ----

let counting: ReturnType<typeof setTimeout> | undefined;
let countedAt = 0;

function countAgain(): void {
  if (counting !== undefined) return;
  counting = setTimeout(() => {
    counting = undefined;
    countedAt = Date.now();
    void loadTree();
  }, Math.max(500, countedAt + COUNT_PAUSE - Date.now()));
}

function isGateway(data: Record<string, unknown>): boolean {
  return typeof data['name'] === 'string' && typeof data['group'] === 'string' && typeof data['lamps'] === 'object';
}

function takeGateway(data: Record<string, unknown>): void {
  const id = String(data['id']);
  const before = knownGateway(id)?.lamps;
  const changes = Array.isArray(data['changes']) ? data['changes'] : [];
  const moved = changes.some((one) => ['created', 'deleted', 'moved', 'access'].includes(String(one)));
  if (loading.size > 0) newer.set(id, isGateway(data) ? (data as unknown as GatewayCompact) : null);
  if (!isGateway(data)) {
    drop(id);
    version.value++;
    countAgain();
    return;
  }
  const gateway = data as unknown as GatewayCompact;
  const isLoaded = pathOfGroup(gateway.group).some((one) => loaded.has(one.id));
  if (isLoaded) put(gateway);
  else drop(id);
  if (treeMatches.value?.items.some((one) => one.id === id)) {
    const items = treeMatches.value.items.map((one) => (one.id === id ? { ...one, lamps: gateway.lamps } : one));
    treeMatches.value = { ...treeMatches.value, items };
  }
  const differs = (lamps: Lamps) => lamps.checkin !== gateway.lamps.checkin || lamps.tunnel !== gateway.lamps.tunnel;
  if (moved || (before ? differs(before) : changes.includes('tunnel'))) countAgain();
  if (isLoaded && (!before || differs(before) || moved)) version.value++;
}

/** A gateway that is late says nothing itself: the server's event does. */
function takeEvent(data: Record<string, unknown>): void {
  const known = data['kind'] === 'late' ? knownGateway(String(data['gateway'])) : undefined;
  if (!known) return;
  put({ ...known, lamps: { ...known.lamps, checkin: 'degraded' } });
  version.value++;
  countAgain();
}

function take(event: LiveEvent): void {
  if (event.kind === 'gateway') takeGateway(event.data);
  else if (event.kind === 'event') takeEvent(event.data);
  else if (event.kind === 'group' || event.kind === 'tenant') countAgain();
  else if (event.kind === 'reset') {
    const again = [...loaded];
    loaded.clear();
    void loadTree();
    again.forEach((id) => void loadBranch(id));
    void searchTree();
  }
}

let isStarted = false;

/** After the login. */
export function startFleet(): void {
  void loadTree();
  if (isStarted) return;
  isStarted = true;
  onLive(take);
  setInterval(() => {
    if (!document.hidden && tree.value) countAgain();
  }, 60000);
}

/** Another user may come after this one. */
export function forgetFleet(): void {
  tree.value = null;
  byGroup.clear();
  sorted.clear();
  groupOf.clear();
  loaded.clear();
  openGroups.value = new Set();
  treeText.value = '';
  treeFilter.value = '';
  treeMatches.value = null;
}
