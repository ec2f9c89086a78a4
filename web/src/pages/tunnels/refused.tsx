// Refused joins: who wanted a tunnel and got none, why, and what cures it.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Dialog } from '../../components/dialog';
import { SearchBox, Select } from '../../components/field';
import { EmptyState, ErrorNote, Loaded } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { RefusedJoin } from '../../api/shapes';
import type { Gateway, GatewayKind } from '../../api/types';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { navigate } from '../../state/router';
import { usePageTitle } from '../../state/title';
import { number, plural } from '../../text/format';
import { GroupSelect } from '../group-select';
import { PageHead } from '../head';
import { branchOfKey } from '../rights';

function Create({ join, onClose }: { join: RefusedJoin; onClose: () => void }) {
  const [group, setGroup] = useState('');
  const [kind, setKind] = useState<GatewayKind>('openvpn');
  const action = useAction();
  const create = () => void action.run(async () => {
    const made = await api.post<Gateway>(`/tunnel/refused/${join.id}/create-gateway`, { group: branchOfKey(group)?.group, kind });
    say('up', `${made.name} is known now; its next attempt is let in`);
    navigate(`/gateways/${made.id}`);
  });
  return (
    <Dialog title={`Create a gateway for ${join.name}`} onClose={onClose} footer={
      <>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" busy={action.busy} why={group === '' ? 'Choose the group first' : undefined} onClick={create}>Create gateway</Button>
      </>
    }>
      <div class="stack">
        <p>A known CA signed its certificate, but no gateway has this name. With one, the router's next attempt is let in.</p>
        <GroupSelect label="Group" value={group} onChange={setGroup} />
        <Select<GatewayKind> label="Kind" value={kind} onChange={setKind} options={[
          { value: 'openvpn', text: 'OpenVPN router' }, { value: 'amm', text: 'With our software' }]} />
        {action.error && <ErrorNote error={action.error} title="The gateway was not created." />}
      </div>
    </Dialog>
  );
}

function columnsOf(onCreate: (join: RefusedJoin) => void): Column<RefusedJoin>[] {
  return [
    { key: 'at', title: 'Time', render: (row) => <Time at={row.at} as="moment" /> },
    { key: 'name', title: 'Certificate name', render: (row, tab) => row.gateway
      ? <a class="strong-link" tabIndex={tab} href={`/gateways/${row.gateway}`}>{row.name}</a>
      : row.name === '' ? <span class="dim">none shown</span> : <b class="medium">{row.name}</b> },
    { key: 'remote', title: 'Address', render: (row) => <span class="mono">{row.remote}</span> },
    { key: 'port', title: 'Port', render: (row) => `${row.port}, ${row.transport.toUpperCase()}` },
    { key: 'client', title: 'Client', wrap: true, render: (row) => row.client || <span class="dim">–</span> },
    { key: 'what', title: 'What failed, and the cure', wrap: true, width: '26rem', render: (row) => (
      <><b class="medium">{row.text || row.reason}</b><br /><span class="dim">{row.cure}</span></>) },
    { key: 'repeats', title: 'Times', align: 'end', render: (row) => number(row.repeats + 1) },
    { key: 'act', title: <span class="vh">Cure</span>, pin: 'end', align: 'end', render: (row, tab) => row.can_create && (
      <Button kind="row" tabIndex={tab} onClick={() => onCreate(row)}>Create gateway from this certificate</Button>) },
  ];
}

export default function Refused() {
  usePageTitle('Refused joins');
  const [text, setText] = useState('');
  const [creating, setCreating] = useState<RefusedJoin | null>(null);
  const list = useResource<RefusedJoin[]>('refused', (signal) => api.all<RefusedJoin>('/tunnel/refused', { signal }, 1000),
    (event) => event.kind === 'refused' || event.kind === 'tunnel');
  const wanted = text.trim().toLowerCase();
  const matches = (row: RefusedJoin) => [row.name, row.remote, row.client, row.text, row.reason].some((one) => one.toLowerCase().includes(wanted));
  return (
    <>
      <PageHead title="Refused joins" up={[{ text: 'Tunnels', href: '/tunnels' }]} note="The last 1 000 attempts to join that were refused." />
      <Loaded resource={list} what="Refused joins" lines={8}>
        {(all) => {
          const shown = all.filter(matches);
          return (
            <section class="card" aria-label="Refused joins">
              <div class="tools">
                <SearchBox class="table-search" label="Name, address, reason" value={text} onInput={setText} />
                <span class="table-count" role="status">{wanted === '' ? plural(all.length, 'attempt') : `${number(shown.length)} of ${number(all.length)}`}</span>
                <Button size="small" icon="again" onClick={list.reload}>Read again</Button>
              </div>
              {shown.length > 0
                ? <Table label="Refused joins" keys columns={columnsOf(setCreating)} rows={shown.slice(0, 300)} rowKey={(row) => row.id} />
                : wanted === ''
                  ? <EmptyState icon="tunnel" title="No join was refused">Whoever is refused a tunnel shows here, with the reason and what to do.</EmptyState>
                  : <EmptyState icon="filter" title={`Nothing contains “${text.trim()}”`} actions={<Button onClick={() => setText('')}>Clear the search</Button>} />}
              {shown.length > 300 && <div class="table-foot">The newest 300 are shown. Search for the others.</div>}
            </section>
          );
        }}
      </Loaded>
      {creating && <Create join={creating} onClose={() => setCreating(null)} />}
    </>
  );
}
