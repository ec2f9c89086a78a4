// API tokens: for programs.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { CopyButton } from '../../components/copy';
import { Dialog } from '../../components/dialog';
import { Select, TextField } from '../../components/field';
import { EmptyState, ErrorNote, Loaded, Note } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { ApiToken, Binding } from '../../api/types';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { may } from '../../state/session';
import { usePageTitle } from '../../state/title';
import { PageHead } from '../head';
import { BranchSelect, branchBody, branchText, roleTexts } from './branch';

function AddToken({ onClose, onDone }: { onClose: () => void; onDone: (token: ApiToken) => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Binding['role']>('viewer');
  const [branch, setBranch] = useState('');
  const [days, setDays] = useState('90');
  const action = useAction();
  const fault = name === '' || /^[A-Za-z0-9._-]{1,64}$/.test(name) ? null : 'Letters, digits, “-”, “_” and “.” only.';
  const why = name === '' ? 'Give it a name first' : fault ?? undefined;
  const add = () => void action.run(async () =>
    onDone(await api.post<ApiToken>('/tokens', { name, role, days: Number(days), ...branchBody(branch) })));
  return (
    <Dialog title="Make an API token" onClose={onClose} footer={
      <><Button onClick={onClose}>Cancel</Button><Button kind="primary" busy={action.busy} why={why} onClick={add}>Make token</Button></>
    }>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) add(); }}>
        <TextField label="Name" value={name} error={fault} maxLength={64} autofocus hint="What it is for." onInput={setName} />
        <Select label="At most" value={role} options={roleTexts.filter((one) => one.value !== 'system-admin' || may('system'))} onChange={setRole} />
        <BranchSelect label="Only in" value={branch} onChange={setBranch} hint="Not chosen: wherever you have the right yourself." />
        <Select label="Good for" value={days} onChange={setDays} options={[
          { value: '1', text: '1 day' }, { value: '30', text: '30 days' }, { value: '90', text: '90 days' }, { value: '365', text: '1 year' }, { value: '0', text: 'ever' }]} />
        {action.error && <ErrorNote error={action.error} title="The token was not made." />}
      </form>
    </Dialog>
  );
}

export default function Tokens() {
  usePageTitle('API tokens');
  const [isAdding, setAdding] = useState(false);
  const [fresh, setFresh] = useState<ApiToken | null>(null);
  const list = useResource<ApiToken[]>('api-tokens', (signal) => api.all<ApiToken>('/tokens', { signal }));
  const action = useAction();
  const remove = (token: ApiToken) => void action.run(async () => {
    await api.delete(`/tokens/${token.id}`);
    say('resting', `Token ${token.name} no longer works`);
    list.reload();
  });
  const columns: Column<ApiToken>[] = [
    { key: 'name', title: 'Name', pin: 'start', render: (row) => <b class="medium">{row.name}</b> },
    { key: 'user', title: 'Of', render: (row) => row.user_name ?? '–' },
    { key: 'role', title: 'At most', render: (row) => row.role.replace('-', ' ') },
    { key: 'branch', title: 'Only in', wrap: true, render: (row) => (row.tenant === null || row.tenant === '0' ? <span class="dim">as its user</span> : branchText(row)) },
    { key: 'used', title: 'Last used', align: 'end', render: (row) => (row.used_at ? <Time at={row.used_at} /> : <span class="dim">never</span>) },
    { key: 'ends', title: 'Ends', align: 'end', render: (row) => (row.expires_at ? <Time at={row.expires_at} as="moment" /> : 'never') },
    { key: 'act', title: <span class="vh">Remove</span>, pin: 'end', align: 'end', render: (row, tab) => (
      <Button kind="row" tabIndex={tab} label={`Remove ${row.name}`} onClick={() => remove(row)}>Remove</Button>) },
  ];
  return (
    <>
      <PageHead title="API tokens" up={[{ text: 'Admin', href: '/admin' }]} note="A token does what its user may and its own scope allows. It is shown once.">
        <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>Make token</Button>
      </PageHead>
      <div class="stack-sections">
        {fresh?.token && (
          <Note state="pending" role="status" title={`Token ${fresh.name}`} action={<CopyButton text={fresh.token} what="token" />}>
            <p class="mono secret-text">{fresh.token}</p>
            <p>Shown this once. Programs send it as “Authorization: Bearer …”.</p>
          </Note>
        )}
        {action.error && <ErrorNote error={action.error} title="The token was not removed." />}
        <Card title="Tokens" flush>
          <Loaded resource={list} what="Tokens">
            {(all) => all.length > 0 ? <Table label="API tokens" keys columns={columns} rows={all} rowKey={(row) => row.id} />
              : <EmptyState icon="key" title="No token yet" actions={<Button onClick={() => setAdding(true)}>Make token</Button>}>
                  ammctl and your own programs use one instead of a password.
                </EmptyState>}
          </Loaded>
        </Card>
      </div>
      {isAdding && <AddToken onClose={() => setAdding(false)} onDone={(made) => { setAdding(false); setFresh(made); list.reload(); }} />}
    </>
  );
}
