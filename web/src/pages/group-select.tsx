// A group of the tree, indented as it lies.
import { Select } from '../components/field';
import type { TreeGroup } from '../api/types';
import { pathOfGroup, tree } from '../state/fleet';
import { mayIn } from './rights';

function optionsOf(groups: readonly TreeGroup[]): { value: string; text: string }[] {
  return groups
    .filter((group) => mayIn('admin', group.id))
    .map((group) => ({ value: group.id, text: `${'\u2003'.repeat(Math.max(0, pathOfGroup(group.id).length - 1))}${group.name}` }));
}

export function GroupSelect(props: { label: string; value: string; onChange: (group: string) => void; hint?: string }) {
  const tenants = tree.value?.tenants ?? [];
  const options = tenants.flatMap((tenant) => optionsOf(tenant.groups));
  return (
    <Select label={props.label} value={props.value} onChange={props.onChange} {...(props.hint ? { hint: props.hint } : {})}
      options={props.value === '' ? [{ value: '', text: 'Choose a group' }, ...options] : options} />
  );
}
