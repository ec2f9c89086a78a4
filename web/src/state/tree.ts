// The gateway tree as rows, one below the other. Pure.

import type { GatewayCompact, TreeGroup, TreeTenant } from '../api/types';

export type TreeRow =
  | { kind: 'group'; key: string; level: number; group: TreeGroup; tenant: string; isOpen: boolean; canOpen: boolean }
  | { kind: 'gateway'; key: string; level: number; gateway: GatewayCompact }
  | { kind: 'note'; key: string; level: number; text: string };

export interface TreeInput {
  tenant: TreeTenant;
  open: ReadonlySet<string>; // ids of groups
  gatewaysOf: (group: string) => readonly GatewayCompact[];
  isLoading: (group: string) => boolean;
  /** Only these, with the path to each of them; null: all. */
  only: readonly GatewayCompact[] | null;
}

export const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

export function childrenOf(tenant: TreeTenant): Map<string | null, TreeGroup[]> {
  const known = new Set(tenant.groups.map((one) => one.id));
  const children = new Map<string | null, TreeGroup[]>();
  for (const group of tenant.groups) {
    const parent = group.parent !== null && known.has(group.parent) && group.parent !== group.id ? group.parent : null;
    const list = children.get(parent);
    if (list) list.push(group);
    else children.set(parent, [group]);
  }
  for (const list of children.values()) list.sort((a, b) => collator.compare(a.name, b.name));
  return children;
}

/** From the top to the group itself; [] if it is not in the tree. */
export function pathTo(tenant: TreeTenant, id: string): TreeGroup[] {
  const byId = new Map(tenant.groups.map((one) => [one.id, one]));
  const path: TreeGroup[] = [];
  for (let at = byId.get(id); at && !path.includes(at); at = at.parent === null ? undefined : byId.get(at.parent)) {
    path.unshift(at);
  }
  return path;
}

/** How many gateways lie in the group itself, not in a group below it. */
export function directCount(group: TreeGroup, below: readonly TreeGroup[]): number {
  return group.count - below.reduce((sum, one) => sum + one.count, 0);
}

export function flatten(input: TreeInput): TreeRow[] {
  const children = childrenOf(input.tenant);
  const rows: TreeRow[] = [];
  const matches = new Map<string, GatewayCompact[]>();
  const onPath = new Set<string>();
  for (const gateway of input.only ?? []) {
    const list = matches.get(gateway.group);
    if (list) list.push(gateway);
    else matches.set(gateway.group, [gateway]);
    for (const one of pathTo(input.tenant, gateway.group)) onPath.add(one.id);
  }
  const isFiltered = input.only !== null;

  const add = (group: TreeGroup, level: number) => {
    const below = children.get(group.id) ?? [];
    const isOpen = isFiltered || input.open.has(group.id);
    const canOpen = group.count > 0 || below.length > 0;
    const key = `g${group.id}`;
    rows.push({ kind: 'group', key, level, group, tenant: input.tenant.id, isOpen: isOpen && canOpen, canOpen });
    if (!isOpen) return;
    for (const one of below) {
      if (!isFiltered || onPath.has(one.id)) add(one, level + 1);
    }
    const gateways = isFiltered ? (matches.get(group.id) ?? []) : input.gatewaysOf(group.id);
    for (const gateway of gateways) rows.push({ kind: 'gateway', key: gateway.id, level: level + 1, gateway });
    if (!isFiltered && gateways.length === 0 && input.isLoading(group.id) && directCount(group, below) > 0) {
      rows.push({ kind: 'note', key: `l${group.id}`, level: level + 1, text: 'Loading' });
    }
  };
  for (const top of children.get(null) ?? []) {
    if (!isFiltered || onPath.has(top.id)) add(top, 1);
  }
  return rows;
}
