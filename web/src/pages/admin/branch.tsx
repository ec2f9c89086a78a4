// The branch that a right is bound to: the whole server, a tenant, a group with all below.
import { Select } from '../../components/field';
import type { Binding } from '../../api/types';
import { findGroup, pathOfGroup, tree } from '../../state/fleet';
import { may } from '../../state/session';

/** "server", or the id of a group (a tenant's own group stands for the tenant). */
export function BranchSelect(props: { label: string; value: string; onChange: (value: string) => void; hint?: string }) {
  const groups = (tree.value?.tenants ?? []).flatMap((tenant) => tenant.groups.map((group) => ({
    value: group.id,
    text: `${'\u2003'.repeat(Math.max(0, pathOfGroup(group.id).length - 1))}${group.name}`,
  })));
  const options = may('system') ? [{ value: 'server', text: 'The whole server' }, ...groups] : groups;
  return <Select {...props} options={props.value === '' ? [{ value: '', text: 'Choose a branch' }, ...options] : options} />;
}

/** As the API takes it. */
export function branchBody(value: string): { tenant?: string; group?: string } {
  const found = findGroup(value);
  if (value === 'server' || !found) return {};
  const isTop = found.tenant.groups[0]?.id === value && pathOfGroup(value).length === 1;
  return isTop ? { tenant: found.tenant.id } : { tenant: found.tenant.id, group: value };
}

const isSet = (id: string | null | undefined): id is string => id !== null && id !== undefined && id !== '0';

export function branchText(binding: Pick<Binding, 'tenant' | 'group'>): string {
  if (isSet(binding.group)) return pathOfGroup(binding.group).map((one) => one.name).join(' / ') || 'a group that you do not see';
  if (!isSet(binding.tenant)) return 'the whole server';
  return tree.value?.tenants.find((one) => one.id === binding.tenant)?.name ?? 'a tenant that you do not see';
}

export const roleTexts: { value: Binding['role']; text: string }[] = [
  { value: 'viewer', text: 'Viewer: sees' },
  { value: 'operator', text: 'Operator: changes settings, opens ACEmanager' },
  { value: 'tenant-admin', text: 'Tenant admin: adds gateways, groups, users' },
  { value: 'system-admin', text: 'System admin: tenants, tunnel ports, backup' },
];
