// Tenants: customers that do not see each other. System administrators only.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { ConfirmDialog, Dialog } from '../../components/dialog';
import { TextField } from '../../components/field';
import { ErrorNote, Loaded } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { Tenant } from '../../api/shapes';
import { loadTree } from '../../state/fleet';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { usePageTitle } from '../../state/title';
import { number } from '../../text/format';
import { PageHead } from '../head';

function Edit({ tenant, onClose, onSaved }: { tenant: Tenant | null; onClose: () => void; onSaved: () => void }) {
  const [slug, setSlug] = useState(tenant?.slug ?? '');
  const [title, setTitle] = useState(tenant?.title ?? '');
  const [most, setMost] = useState(String(tenant?.gateways_max ?? 0));
  const action = useAction();
  const fault = slug === '' || /^[a-z0-9-]+$/.test(slug) ? null : 'Small letters, digits and “-” only.';
  const mostFault = /^\d{1,8}$/.test(most) ? null : 'A number; 0: no limit.';
  const why = slug === '' ? 'Enter the short name first' : fault ?? mostFault ?? undefined;
  const save = () => void action.run(async () => {
    const wanted = title.trim() === '' ? {} : { title: title.trim() };
    const id = tenant?.id ?? (await api.post<Tenant>('/tenants', { slug, ...wanted })).id;
    if (tenant || most !== '0') await api.patch(`/tenants/${id}`, { ...wanted, gateways_max: Number(most) });
    say('up', tenant ? `Tenant ${slug} changed` : `Tenant ${slug} added`);
    void loadTree();
    onSaved();
  });
  return (
    <Dialog title={tenant ? `Tenant ${tenant.slug}` : 'Add a tenant'} onClose={onClose} footer={
      <><Button onClick={onClose}>Cancel</Button><Button kind="primary" busy={action.busy} why={why} onClick={save}>{tenant ? 'Save tenant' : 'Add tenant'}</Button></>
    }>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) save(); }}>
        {!tenant && <TextField label="Short name" value={slug} error={fault} maxLength={32} autofocus mono onInput={setSlug}
          hint="Part of tunnel names and logins (user@short-name). Never changes." />}
        <TextField label="Name in full" optional value={title} maxLength={100} onInput={setTitle} />
        <TextField label="Gateways at most" value={most} error={mostFault} inputMode="numeric" onInput={setMost} hint="0: no limit. All tenants share the places of the tunnel ports." />
        {action.error && <ErrorNote error={action.error} title="The tenant was not saved." />}
      </form>
    </Dialog>
  );
}

export default function Tenants() {
  usePageTitle('Tenants');
  const [edited, setEdited] = useState<Tenant | 'new' | null>(null);
  const [removed, setRemoved] = useState<Tenant | null>(null);
  const list = useResource<Tenant[]>('tenants', (signal) => api.all<Tenant>('/tenants', { signal }), (event) => event.kind === 'tenant');
  const action = useAction();
  const remove = (tenant: Tenant) => void action.run(async () => {
    await api.delete(`/tenants/${tenant.id}`);
    say('resting', `Tenant ${tenant.slug} removed`);
    setRemoved(null);
    list.reload();
    void loadTree();
  });
  const columns: Column<Tenant>[] = [
    { key: 'slug', title: 'Short name', pin: 'start', render: (row) => <b class="medium mono">{row.slug}</b> },
    { key: 'title', title: 'Name', render: (row) => row.title },
    { key: 'gateways', title: 'Gateways', align: 'end', render: (row) => number(row.gateways ?? 0) },
    { key: 'most', title: 'At most', align: 'end', render: (row) => (row.gateways_max ? number(row.gateways_max) : <span class="dim">no limit</span>) },
    { key: 'at', title: 'Added', align: 'end', render: (row) => (row.created_at ? <Time at={row.created_at} as="moment" /> : '–') },
    { key: 'act', title: <span class="vh">Change</span>, pin: 'end', align: 'end', render: (row, tab) => (
      <>
        <Button kind="row" tabIndex={tab} label={`Edit ${row.slug}`} onClick={() => setEdited(row)}>Edit</Button>
        <Button kind="row" tabIndex={tab} label={`Remove ${row.slug}`} onClick={() => setRemoved(row)}>Remove</Button>
      </>) },
  ];
  return (
    <>
      <PageHead title="Tenants" up={[{ text: 'Admin', href: '/admin' }]} note="Customers that do not see each other. What they share: the server and the places of its tunnel ports.">
        <Button kind="primary" icon="plus" onClick={() => setEdited('new')}>Add tenant</Button>
      </PageHead>
      <Card title="All tenants" flush>
        <Loaded resource={list} what="Tenants">
          {(all) => <Table label="Tenants" keys columns={columns} rows={all} rowKey={(row) => row.id} onOpen={setEdited} />}
        </Loaded>
      </Card>
      {edited !== null && <Edit tenant={edited === 'new' ? null : edited} onClose={() => setEdited(null)} onSaved={() => { setEdited(null); list.reload(); }} />}
      {removed && (
        <ConfirmDialog title={`Remove tenant ${removed.slug}?`} act="Remove tenant" keep="Keep the tenant" danger typed={removed.slug} busy={action.busy} error={action.error}
          onConfirm={() => remove(removed)} onClose={() => { setRemoved(null); action.clear(); }}>
          <p>Its users, tokens and thresholds go. It must hold no gateways; its audit entries stay.</p>
        </ConfirmDialog>
      )}
    </>
  );
}
