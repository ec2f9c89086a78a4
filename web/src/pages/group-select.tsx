// A group of the tree, indented as it lies. Its value is the key of a branch.
import { Select } from '../components/field';
import type { TreeTenant } from '../api/types';
import { tree } from '../state/fleet';
import type { Act } from '../state/session';
import { pathTo } from '../state/tree';
import { keyOf, mayIn } from './rights';

function optionsOf(tenant: TreeTenant, act: Act): { value: string; text: string }[] {
  return tenant.groups
    .map((group) => ({ group, depth: pathTo(tenant, group.id).length - 1, branch: { tenant: tenant.id, group: group.id } }))
    .filter((one) => mayIn(act, one.branch))
    .map((one) => ({ value: keyOf(one.branch), text: `${'\u2003'.repeat(Math.max(0, one.depth))}${one.group.name}` }));
}

/** The groups of all tenants that one may do this in; the values are keys of branches. */
export function groupOptions(act: Act): { value: string; text: string }[] {
  return (tree.value?.tenants ?? []).flatMap((tenant) => optionsOf(tenant, act));
}

export function GroupSelect(props: { label: string; value: string; onChange: (key: string) => void; hint?: string }) {
  const options = groupOptions('admin');
  return (
    <Select label={props.label} value={props.value} onChange={props.onChange} {...(props.hint ? { hint: props.hint } : {})}
      options={props.value === '' ? [{ value: '', text: 'Choose a group' }, ...options] : options} />
  );
}
