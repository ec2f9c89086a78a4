// The branch that a right is bound to: the whole server, a tenant, a group with all below.
import { Select } from '../../components/field';
import type { Binding } from '../../api/types';
import { tree } from '../../state/fleet';
import { may } from '../../state/session';
import { pathTo } from '../../state/tree';
import { groupOptions } from '../group-select';
import { branchOfKey } from '../rights';

/** "server", or the key of a branch (a tenant's own group stands for the tenant). */
export function BranchSelect(props: { label: string; value: string; onChange: (value: string) => void; hint?: string }) {
  const groups = groupOptions('view');
  const options = may('system') ? [{ value: 'server', text: 'The whole server' }, ...groups] : groups;
  return <Select {...props} options={props.value === '' ? [{ value: '', text: 'Choose a branch' }, ...options] : options} />;
}

/** As the API takes it. */
export function branchBody(value: string): { tenant?: string; group?: string } {
  const branch = branchOfKey(value);
  if (!branch) return {};
  return isSet(branch.group) ? { tenant: branch.tenant, group: branch.group } : { tenant: branch.tenant };
}

const isSet = (id: string | null | undefined): id is string => id !== null && id !== undefined && id !== '0';

export function branchText(binding: Pick<Binding, 'tenant' | 'group'>): string {
  if (!isSet(binding.tenant)) return 'the whole server';
  const of = tree.value?.tenants.find((one) => one.id === binding.tenant);
  if (!of) return 'a tenant that you do not see';
  if (!isSet(binding.group)) return of.name;
  return pathTo(of, binding.group).map((one) => one.name).join(' / ') || 'a group that you do not see';
}

export const roleTexts: { value: Binding['role']; text: string }[] = [
  { value: 'viewer', text: 'Viewer: sees' },
  { value: 'operator', text: 'Operator: changes settings, opens ACEmanager' },
  { value: 'tenant-admin', text: 'Tenant admin: adds gateways, groups, users' },
  { value: 'system-admin', text: 'System admin: tenants, tunnel ports, backup' },
];
