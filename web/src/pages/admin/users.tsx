// Users and their rights.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card, Facts } from '../../components/card';
import { CopyButton } from '../../components/copy';
import { ConfirmDialog, Dialog } from '../../components/dialog';
import { Select, TextField } from '../../components/field';
import { State } from '../../components/lamp';
import { ErrorNote, Loaded, Note } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { User, UserRole } from '../../api/shapes';
import type { Binding } from '../../api/types';
import { tenant, tree } from '../../state/fleet';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { may, me } from '../../state/session';
import { usePageTitle } from '../../state/title';
import { plural } from '../../text/format';
import { PageHead } from '../head';
import { keyOf } from '../rights';
import { BranchSelect, branchBody, branchText, roleTexts } from './branch';

/** A password that the server has made: shown this once. */
export function OneTimePassword({ user }: { user: User }) {
  if (!user.password) return null;
  return (
    <Note state="pending" role="status" title={`One-time password of ${user.login_name}`}
      action={<CopyButton text={user.password} what="password" />}>
      <p class="mono secret-text">{user.password}</p>
      <p>Shown this once. It must be changed at the first login.</p>
    </Note>
  );
}

function AddUser({ onClose, onDone }: { onClose: () => void; onDone: (user: User) => void }) {
  const [name, setName] = useState('');
  const [title, setTitle] = useState('');
  const [home, setHome] = useState(tenant.value?.id ?? '');
  const [role, setRole] = useState<Binding['role']>('operator');
  const [branch, setBranch] = useState(tenant.value ? keyOf({ tenant: tenant.value.id, group: '0' }) : '');
  const action = useAction();
  const fault = name === '' || /^[A-Za-z0-9._-]{1,64}$/.test(name) ? null : 'Letters, digits, “-”, “_” and “.” only.';
  const why = name === '' ? 'Enter the login name first' : fault ?? (branch === '' ? 'Choose the branch first' : undefined);
  const add = () => void action.run(async () => {
    const made = await api.post<User>('/users', { name, title, ...(home === '' ? {} : { tenant: home }) });
    await api.post(`/users/${made.id}/roles`, { role, ...branchBody(role === 'system-admin' ? 'server' : branch) });
    onDone(made);
  });
  const tenants = tree.value?.tenants ?? [];
  return (
    <Dialog title="Add a user" onClose={onClose} footer={
      <><Button onClick={onClose}>Cancel</Button><Button kind="primary" busy={action.busy} why={why} onClick={add}>Add user</Button></>
    }>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) add(); }}>
        <TextField label="Login name" value={name} error={fault} maxLength={64} autofocus onInput={setName} />
        <TextField label="Name in full" optional value={title} maxLength={100} onInput={setTitle} />
        {tenants.length > 1 && <Select label="Tenant" value={home} options={tenants.map((one) => ({ value: one.id, text: one.name }))} onChange={setHome} />}
        <Select label="Role" value={role} options={roleTexts.filter((one) => one.value !== 'system-admin' || may('system'))} onChange={setRole} />
        {role !== 'system-admin' && <BranchSelect label="For" value={branch} onChange={setBranch} hint="The branch and everything below it." />}
        <p class="dim">The server makes a one-time password, and shows it once.</p>
        {action.error && <ErrorNote error={action.error} title="The user was not added." />}
      </form>
    </Dialog>
  );
}

// ---- one user ----

function Roles({ user, onChanged }: { user: User; onChanged: () => void }) {
  const [role, setRole] = useState<Binding['role']>('viewer');
  const [branch, setBranch] = useState('');
  const action = useAction();
  const give = () => void action.run(async () => {
    await api.post(`/users/${user.id}/roles`, { role, ...branchBody(role === 'system-admin' ? 'server' : branch) });
    onChanged();
  });
  const take = (one: UserRole) => void action.run(async () => {
    await api.delete(`/users/${user.id}/roles/${one.id}`);
    say('resting', `${user.login_name} is no longer ${one.role.replace('-', ' ')} of ${branchText(one)}`,
      { label: 'Undo', run: () => void api.post(`/users/${user.id}/roles`, { role: one.role, tenant: one.tenant ?? '0', group: one.group ?? '0' }).then(onChanged, () => undefined) });
    onChanged();
  });
  const columns: Column<UserRole>[] = [
    { key: 'role', title: 'Role', render: (row) => row.role.replace('-', ' ') },
    { key: 'branch', title: 'For', wrap: true, render: branchText },
    { key: 'act', title: <span class="vh">Take</span>, align: 'end', render: (row, tab) => (
      <Button kind="row" tabIndex={tab} label={`Take the role ${row.role} of ${branchText(row)}`} onClick={() => take(row)}>Take away</Button>) },
  ];
  return (
    <div class="stack">
      {user.roles.length > 0 ? <div class="framed"><Table label="Roles" columns={columns} rows={user.roles} rowKey={(row) => row.id} /></div>
        : <p class="dim">No rights yet: this user sees nothing.</p>}
      <div class="form-pair">
        <Select label="Role" value={role} options={roleTexts.filter((one) => one.value !== 'system-admin' || may('system'))} onChange={setRole} />
        {role !== 'system-admin' && <BranchSelect label="For" value={branch} onChange={setBranch} />}
      </div>
      <div><Button busy={action.busy} why={branch === '' && role !== 'system-admin' ? 'Choose the branch first' : undefined} onClick={give}>Give role</Button></div>
      {action.error && <ErrorNote error={action.error} title="The rights were not changed." />}
    </div>
  );
}

function EditUser({ user, onClose, onChanged, onPassword }: { user: User; onClose: () => void; onChanged: () => void; onPassword: (user: User) => void }) {
  const action = useAction();
  const [isRemoving, setRemoving] = useState(false);
  const isSelf = user.id === me.value?.id;
  const toggle = () => void action.run(async () => {
    await api.patch(`/users/${user.id}`, { disabled: !user.disabled });
    say(user.disabled ? 'up' : 'resting', user.disabled ? `${user.login_name} may log in again` : `${user.login_name} is shut out; all logins ended`);
    onChanged();
  });
  const reset = () => void action.run(async () => onPassword(await api.post<User>(`/users/${user.id}/password`)));
  const remove = () => void action.run(async () => {
    await api.delete(`/users/${user.id}`);
    say('resting', `${user.login_name} was removed`);
    onClose();
    onChanged();
  });
  if (isRemoving) {
    return (
      <ConfirmDialog title={`Remove ${user.login_name}?`} act="Remove user" keep="Keep the user" danger typed={user.name} busy={action.busy} error={action.error}
        onConfirm={remove} onClose={() => setRemoving(false)}>
        <p>Logins, API tokens and remote sessions of this user end at once. What the user did stays in the audit log.</p>
      </ConfirmDialog>
    );
  }
  return (
    <Dialog title={user.login_name} wide onClose={onClose} footer={<Button onClick={onClose} autofocus>Close</Button>}>
      <div class="stack-sections">
        <Facts rows={[
          ['Name', user.title || '–'],
          ['State', user.disabled ? <State state="down">Shut out</State> : user.must_change_password ? <State state="pending">Must change the password</State> : <State state="up" plain>Active</State>],
          ['Password', <>set <Time at={user.password_at} as="moment" /></>],
          ['Added', <Time at={user.created_at} as="moment" />],
        ]} />
        <Roles user={user} onChanged={onChanged} />
        <div class="row wrap">
          <Button icon="key" busy={action.busy} onClick={reset}>New one-time password</Button>
          <Button busy={action.busy} why={isSelf ? 'It is you' : undefined} onClick={toggle}>{user.disabled ? 'Let in again' : 'Shut out'}</Button>
          <Button kind="danger-quiet" why={isSelf ? 'It is you' : undefined} onClick={() => setRemoving(true)}>Remove</Button>
        </div>
        {action.error && <ErrorNote error={action.error} title="The user was not changed." />}
      </div>
    </Dialog>
  );
}

const columns = (open: (user: User) => void): Column<User>[] => [
  { key: 'name', title: 'Login name', pin: 'start', render: (row) => <b class="medium">{row.login_name}</b> },
  { key: 'title', title: 'Name', render: (row) => row.title || <span class="dim">–</span> },
  { key: 'state', title: 'State', render: (row) => row.disabled ? <State state="down">Shut out</State>
    : row.must_change_password ? <State state="pending" plain>One-time password</State> : <State state="up" plain>Active</State> },
  { key: 'roles', title: 'Rights', wrap: true, render: (row) => row.roles.length === 0 ? <span class="dim">none</span>
    : row.roles.map((one) => `${one.role.replace('-', ' ')} of ${branchText(one)}`).join(', ') },
  { key: 'at', title: 'Added', align: 'end', render: (row) => <Time at={row.created_at} as="moment" /> },
  { key: 'act', title: <span class="vh">Edit</span>, pin: 'end', align: 'end', render: (row, tab) => (
    <Button kind="row" tabIndex={tab} label={`Edit ${row.login_name}`} onClick={() => open(row)}>Edit</Button>) },
];

export default function Users() {
  usePageTitle('Users');
  const [isAdding, setAdding] = useState(false);
  const [opened, setOpened] = useState<string | null>(null);
  const [fresh, setFresh] = useState<User | null>(null);
  const list = useResource<User[]>('users', (signal) => api.all<User>('/users', { signal }));
  const user = list.data?.find((one) => one.id === opened);
  return (
    <>
      <PageHead title="Users" up={[{ text: 'Admin', href: '/admin' }]} note={list.data && plural(list.data.length, 'user')}>
        <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>Add user</Button>
      </PageHead>
      <div class="stack-sections">
        {fresh && <OneTimePassword user={fresh} />}
        <Card title="Who may log in" flush>
          <Loaded resource={list} what="Users">
            {(all) => <Table label="Users" keys columns={columns((row) => setOpened(row.id))} rows={all} rowKey={(row) => row.id} onOpen={(row) => setOpened(row.id)} />}
          </Loaded>
        </Card>
      </div>
      {isAdding && <AddUser onClose={() => setAdding(false)} onDone={(made) => { setAdding(false); setFresh(made); list.reload(); }} />}
      {user && <EditUser user={user} onClose={() => setOpened(null)} onChanged={list.reload}
        onPassword={(made) => { setOpened(null); setFresh({ ...user, ...made }); list.reload(); }} />}
    </>
  );
}
