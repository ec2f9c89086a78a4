// Groups: the tree as a table to be changed.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { ConfirmDialog, Dialog } from '../../components/dialog';
import { TextField } from '../../components/field';
import { EmptyState, ErrorNote } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { api } from '../../api/client';
import type { TreeGroup } from '../../api/types';
import { loadTree, tenant } from '../../state/fleet';
import { say } from '../../state/messages';
import { useAction } from '../../state/resource';
import { usePageTitle } from '../../state/title';
import { pathTo } from '../../state/tree';
import { number, plural } from '../../text/format';
import { GroupSelect } from '../group-select';
import { PageHead } from '../head';
import { keyOf } from '../rights';
import { branchBody } from './branch';

const isTop = (group: TreeGroup) => group.id === '0';
const depth = (group: TreeGroup) => (tenant.value ? pathTo(tenant.value, group.id).length - 1 : 0);

/** parents before what is below them, siblings by name */
function inOrder(groups: readonly TreeGroup[]): TreeGroup[] {
  const below = (parent: string | null): TreeGroup[] => groups
    .filter((one) => one.parent === parent)
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((one) => [one, ...below(one.id)]);
  return below(null);
}

/** The group that a new one goes under, as the API takes it. */
function parentBody(id: string): { tenant?: string; parent?: string } {
  const { tenant: of, group } = branchBody(id);
  return { ...(of ? { tenant: of } : {}), ...(group ? { parent: group } : {}) };
}

function Edit({ group, onClose }: { group: TreeGroup | null; onClose: () => void }) {
  const [name, setName] = useState(group?.name ?? '');
  const place = (id: string) => (tenant.value ? keyOf({ tenant: tenant.value.id, group: id }) : '');
  const [parent, setParent] = useState(place(group?.parent ?? '0'));
  const action = useAction();
  const why = name.trim() === '' ? 'Give it a name first' : parent === '' ? 'Choose the group above first' : undefined;
  const save = () => void action.run(async () => {
    if (group) {
      const moved = parent !== place(group.parent ?? '0') ? { parent: branchBody(parent).group ?? '0' } : {};
      await api.patch(`/groups/${group.id}`, { name: name.trim(), ...moved });
    } else await api.post('/groups', { name: name.trim(), ...parentBody(parent) });
    say('up', group ? `Group “${name.trim()}” changed` : `Group “${name.trim()}” added`);
    await loadTree();
    onClose();
  });
  return (
    <Dialog title={group ? `Group ${group.name}` : 'Add a group'} onClose={onClose} footer={
      <><Button onClick={onClose}>Cancel</Button><Button kind="primary" busy={action.busy} why={why} onClick={save}>{group ? 'Save group' : 'Add group'}</Button></>
    }>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) save(); }}>
        <TextField label="Name" value={name} maxLength={64} autofocus onInput={setName} />
        <GroupSelect label="Under" value={parent} onChange={setParent} {...(group ? { hint: 'Rights and thresholds of the new place count at once.' } : {})} />
        {action.error && <ErrorNote error={action.error} title="The group was not saved." />}
      </form>
    </Dialog>
  );
}

function Remove({ group, onClose }: { group: TreeGroup; onClose: () => void }) {
  const action = useAction();
  const remove = () => void action.run(async () => {
    await api.delete(`/groups/${group.id}`);
    say('resting', `Group “${group.name}” removed`);
    await loadTree();
    onClose();
  });
  return (
    <ConfirmDialog title={`Remove ${group.name}?`} act="Remove group" keep="Keep the group" danger busy={action.busy} error={action.error} onConfirm={remove} onClose={onClose}>
      <p>{group.count > 0 ? `It holds ${plural(group.count, 'gateway')}: move them first, the server refuses otherwise.` : 'It is empty. Rights and thresholds that are bound to it go with it.'}</p>
    </ConfirmDialog>
  );
}

export default function Groups() {
  usePageTitle('Groups');
  const [edited, setEdited] = useState<TreeGroup | 'new' | null>(null);
  const [removed, setRemoved] = useState<TreeGroup | null>(null);
  const groups = inOrder(tenant.value?.groups ?? []);
  const columns: Column<TreeGroup>[] = [
    { key: 'name', title: 'Group', pin: 'start', render: (row) => (
      <span style={{ paddingLeft: `${Math.max(0, depth(row)) * 1.25}rem` }}><b class={isTop(row) ? 'strong' : 'medium'}>{row.name}</b></span>) },
    { key: 'count', title: 'Gateways', align: 'end', render: (row) => number(row.count) },
    { key: 'down', title: 'Tunnels down', align: 'end', render: (row) => number(row.tunnel.down) },
    { key: 'show', title: <span class="vh">Show</span>, align: 'end', render: (row, tab) => <a tabIndex={tab} href={`/dashboard?group=${row.id}`}>Dashboard<span class="vh"> of {row.name}</span></a> },
    { key: 'act', title: <span class="vh">Change</span>, pin: 'end', align: 'end', render: (row, tab) => !isTop(row) && (
      <>
        <Button kind="row" tabIndex={tab} label={`Edit ${row.name}`} onClick={() => setEdited(row)}>Edit</Button>
        <Button kind="row" tabIndex={tab} label={`Remove ${row.name}`} onClick={() => setRemoved(row)}>Remove</Button>
      </>) },
  ];
  return (
    <>
      <PageHead title="Groups" up={[{ text: 'Admin', href: '/admin' }]} note={tenant.value?.name}>
        <Button kind="primary" icon="plus" onClick={() => setEdited('new')}>Add group</Button>
      </PageHead>
      <Card title="The tree" flush>
        {groups.length > 0 ? <Table label="Groups" keys columns={columns} rows={groups} rowKey={(row) => row.id} />
          : <EmptyState icon="folder" title="No groups" />}
      </Card>
      {edited !== null && <Edit group={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />}
      {removed && <Remove group={removed} onClose={() => setRemoved(null)} />}
    </>
  );
}
