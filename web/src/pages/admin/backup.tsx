// Backup: a copy of the database, made while the server goes on.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card, Facts } from '../../components/card';
import { ErrorNote, Loaded, Note } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { Authority } from '../../api/shapes';
import type { List, ServerInfo } from '../../api/types';
import { useAction, useResource } from '../../state/resource';
import { usePageTitle } from '../../state/title';
import { bytes, number } from '../../text/format';
import { PageHead } from '../head';

function Make() {
  const action = useAction();
  const [made, setMade] = useState<{ file: string; bytes: number } | null>(null);
  const make = () => void action.run(async () => setMade(await api.post('/backup', {}, { timeout: 600000 })));
  return (
    <Card title="Make a backup" footer={
      <><span class="grow">Regular ones: the timer that the package brings, or POST /api/v1/backup.</span>
        <Button kind="primary" busy={action.busy} onClick={make}>Make a backup now</Button></>
    }>
      <div class="stack">
        <p>Everything of the manager: tenants, groups, users, gateways, settings, events, audit log. Not the keys of the CAs, which amm-cad keeps: copy the pki folder once, to a safe place.</p>
        {made && <Note state="up" role="status" title={`${bytes(made.bytes)} written`}><p class="mono">{made.file}</p><p>It is on the server. Copy it to another machine.</p></Note>}
        {action.error && <ErrorNote error={action.error} title="No backup was made." />}
      </div>
    </Card>
  );
}

const columns: Column<Authority>[] = [
  { key: 'name', title: 'CA', render: (row) => <b class="medium">{row.name}</b> },
  { key: 'kind', title: 'For', render: (row) => row.kind },
  { key: 'issues', title: 'Issues', render: (row) => (row.issues ? 'yes' : 'no, being replaced') },
  { key: 'until', title: 'Until', align: 'end', render: (row) => <Time at={row.until} as="moment" /> },
  { key: 'gateways', title: 'Gateways that hang on it', align: 'end', render: (row) => number(row.gateways) },
];

export default function Backup() {
  usePageTitle('Backup');
  const server = useResource<ServerInfo>('server', (signal) => api.get('/server', { signal }));
  const authorities = useResource<Authority[]>('authorities', async (signal) => (await api.get<List<Authority>>('/authorities', { signal })).items);
  return (
    <>
      <PageHead title="Backup" up={[{ text: 'Admin', href: '/admin' }]} note={server.data && `ammd ${server.data.version}, database ${server.data.store}`} />
      <div class="stack-sections">
        <Make />
        <Card title="Put one back">
          <Facts rows={[
            ['1', <>Stop ammd. Tunnels stay up.</>],
            ['2', <span class="mono">ammd --restore FILE</span>],
            ['3', <>Start ammd. Logins, API tokens, unused enrolment tokens and open operations of the backup are void; gateways wait until amm-cad has said what was revoked since.</>],
          ]} />
        </Card>
        <Card title="CAs" flush>
          <Loaded resource={authorities} what="CAs">
            {(all) => <Table label="CAs" columns={columns} rows={all} rowKey={(row) => row.key} />}
          </Loaded>
        </Card>
      </div>
    </>
  );
}
