import { tenant, tree } from '../state/fleet';
import { scopeGroup } from '../state/scope';
import { may, type Act } from '../state/session';
import { pathTo } from '../state/tree';

/** A branch of the tree. Group "0" is the tenant's own: its number alone does not say whose. */
export interface Branch {
  tenant: string;
  group: string;
}

/** The server decides; this only says which buttons make sense. */
export function mayIn(act: Act, branch: Branch | null): boolean {
  if (branch === null) return may(act);
  const of = tree.value?.tenants.find((one) => one.id === branch.tenant);
  return may(act, branch.tenant, of ? pathTo(of, branch.group).map((one) => one.id) : []);
}

/** What is selected in the tree; null: the tree is not read yet. */
export function scopeBranch(): Branch | null {
  const of = tenant.value;
  const group = scopeGroup.value;
  return of && group !== null ? { tenant: of.id, group } : null;
}

// as one text, for a <select>
export const keyOf = (branch: Branch) => `${branch.tenant}/${branch.group}`;

export function branchOfKey(key: string): Branch | null {
  const [of, group] = key.split('/');
  return of && group ? { tenant: of, group } : null;
}
