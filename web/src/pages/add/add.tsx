// Add gateway: a token for a gateway of ours with the steps to use it, a connection file for any other router, and
// those who wait for approval.
import { useState } from 'preact/hooks';
import { Button, Segments } from '../../components/button';
import { Card } from '../../components/card';
import { CopyButton } from '../../components/copy';
import { Select, TextField } from '../../components/field';
import { EmptyState, ErrorNote, Loaded, Note } from '../../components/states';
import { State } from '../../components/lamp';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api, pathWith, saveFile } from '../../api/client';
import type { EnrolmentRequest, EnrolmentToken, NewToken } from '../../api/shapes';
import type { Gateway, List } from '../../api/types';
import { tenant, tree } from '../../state/fleet';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { query, setQuery } from '../../state/router';
import { usePageTitle } from '../../state/title';
import { plural } from '../../text/format';
import { GroupSelect } from '../group-select';
import { PageHead } from '../head';
import { branchOfKey, keyOf, scopeBranch } from '../rights';

type View = 'token' | 'file' | 'approvals' | 'tokens';
const views: { value: View; text: string }[] = [
  { value: 'token', text: 'Token' }, { value: 'file', text: 'Connection file' },
  { value: 'approvals', text: 'Approvals' }, { value: 'tokens', text: 'Tokens given out' },
];
const DAY = 86400;

function selected(): string {
  const branch = scopeBranch();
  return branch ? keyOf(branch) : '';
}

function groupName(of: string, group: string): string {
  return tree.value?.tenants.find((one) => one.id === of)?.groups.find((one) => one.id === group)?.name ?? '–';
}

/** Where gateways reach the manager: this server's name, on the listener of the gateways. */
function managerUrl(): string {
  return `https://${location.hostname}:8443`;
}

// ---- token ----

function TokenSteps({ tokens }: { tokens: NewToken[] }) {
  const first = tokens[0]?.token ?? '';
  const isOne = tokens.length === 1;
  const list = tokens.map((one) => one.token).join('\n');
  return (
    <Card title={isOne ? 'The token' : plural(tokens.length, 'token')} footer={<span>Shown this once. Whoever has it can enrol one gateway in your place.</span>}>
      <ol class="numbered">
        <li>
          <p>{isOne ? 'Copy the token, or write it down:' : 'Each enrols one gateway, which is named by its serial number:'}</p>
          <div class="secret">
            <pre class="mono" tabIndex={0} aria-label="Tokens">{isOne ? first : list}</pre>
            <CopyButton text={list} what={isOne ? 'token' : 'tokens'} />
            {!isOne && <Button kind="quiet" size="small" icon="download" label="Save tokens"
              onClick={() => saveFile(new Blob([`${list}\n`], { type: 'text/plain' }), 'enrolment-tokens.txt')} />}
          </div>
        </li>
        <li>
          <p>On the gateway's own page (LAN side, port 9443), open Services {'>'} MSCI, and enter</p>
          <dl class="facts">
            <div><dt>AMM server</dt><dd><span class="mono">{managerUrl()}</span> <CopyButton text={managerUrl()} what="address" /></dd></div>
            <div><dt>Token</dt><dd>the one above</dd></div>
          </dl>
          <p>Then press Apply. The server's name must be one that the gateway can reach.</p>
        </li>
        <li>
          <p>Or, for a gateway that is prepared on a bench, put one line into its label file (<span class="mono">label</span> in acemanager.conf):</p>
          <div class="secret">
            <pre class="mono" tabIndex={0} aria-label="Line of the label file">{`${managerUrl()} ${first}`}</pre>
            <CopyButton text={`${managerUrl()} ${first}`} what="line" />
          </div>
        </li>
        <li><p>The gateway makes its key, enrols, checks in, and appears in the tree within a minute.</p></li>
      </ol>
    </Card>
  );
}

function MakeToken() {
  const [group, setGroup] = useState(selected);
  const [name, setName] = useState('');
  const [count, setCount] = useState('1');
  const [days, setDays] = useState('30');
  const [made, setMade] = useState<NewToken[] | null>(null);
  const action = useAction();
  const number = Number(count);
  const fault = !Number.isInteger(number) || number < 1 || number > 1000 ? 'Allowed: 1 to 1000.' : null;
  const why = group === '' ? 'Choose the group first' : fault ?? undefined;
  const make = () => void action.run(async () => {
    if (name.trim() !== '' && number === 1) {
      const gateway = await api.post<Gateway>('/gateways', { name: name.trim(), kind: 'amm', ...branchOfKey(group) });
      setMade((await api.post<List<NewToken>>('/enrolment-tokens', { gateway: gateway.id, expires_in: Number(days) * DAY })).items);
    } else {
      setMade((await api.post<List<NewToken>>('/enrolment-tokens', { ...branchOfKey(group), count: number, expires_in: Number(days) * DAY })).items);
    }
  });
  return (
    <>
      <Card title="A gateway with our software" footer={
        <>
          <span class="grow">Many with known serials at once: <a href="/admin/imports">spreadsheet upload</a></span>
          <Button kind="primary" busy={action.busy} why={why} onClick={make}>{number > 1 ? 'Make tokens' : 'Make a token'}</Button>
        </>
      }>
        <form class="form narrow" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) make(); }}>
          <GroupSelect label="Group" value={group} onChange={setGroup} />
          <TextField label="Name" optional value={name} maxLength={64} onInput={setName}
            hint={number > 1 ? 'For one gateway only: each of these is named by its serial number.' : 'Without one, it is named by its serial number. Never changes.'} />
          <div class="form-pair">
            <TextField label="How many" value={count} inputMode="numeric" error={fault} onInput={setCount} />
            <Select label="Good for" value={days} onChange={setDays} options={[
              { value: '1', text: '1 day' }, { value: '7', text: '7 days' }, { value: '30', text: '30 days' }, { value: '365', text: '1 year' }]} />
          </div>
          {action.error && <ErrorNote error={action.error} title="No token was made." />}
        </form>
      </Card>
      {made && made.length > 0 && <TokenSteps tokens={made} />}
    </>
  );
}

// ---- connection file ----

async function fetchFile(id: string, remotes: string): Promise<{ text: Blob; name: string }> {
  const list = remotes.split(/[\s,]+/).filter(Boolean);
  const response = await fetch(pathWith(`/api/v1/gateways/${id}/connection-file`), {
    method: 'POST', credentials: 'same-origin', cache: 'no-store', redirect: 'error',
    headers: { 'X-AMM-Request': '1', 'Content-Type': 'application/json' },
    body: JSON.stringify(list.length > 0 ? { remotes: list } : {}),
  });
  if (!response.ok) {
    const body = (await response.json().catch(() => ({}))) as { text?: string };
    throw new Error(body.text ?? `the server answered ${response.status}`);
  }
  const named = /filename="([^"\\/]+)"/.exec(response.headers.get('content-disposition') ?? '');
  return { text: await response.blob(), name: named?.[1] ?? `gateway-${id}.ovpn` };
}

function ConnectionFile() {
  const [group, setGroup] = useState(selected);
  const [name, setName] = useState('');
  const [remotes, setRemotes] = useState('');
  const [made, setMade] = useState<{ gateway: Gateway; file: string } | null>(null);
  const action = useAction();
  const why = group === '' ? 'Choose the group first' : name.trim() === '' ? 'Give it a name first' : undefined;
  const make = () => void action.run(async () => {
    const gateway = await api.post<Gateway>('/gateways', { name: name.trim(), kind: 'openvpn', ...branchOfKey(group) });
    const file = await fetchFile(gateway.id, remotes);
    saveFile(file.text, file.name);
    setMade({ gateway, file: file.name });
    setName('');
  });
  return (
    <>
      <Card title="Any other router that speaks OpenVPN" footer={
        <>
          <span class="grow">The file holds the router's private key. It is given once and not kept.</span>
          <Button kind="primary" icon="download" busy={action.busy} why={why} onClick={make}>Make and download the file</Button>
        </>
      }>
        <form class="form narrow" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) make(); }}>
          <GroupSelect label="Group" value={group} onChange={setGroup} />
          <TextField label="Name" value={name} maxLength={64} onInput={setName} hint="Unique among your gateways. Never changes." />
          <TextField label="Server names" optional value={remotes} mono onInput={setRemotes}
            hint={`As the router reaches this server, best first, with blanks between. Without any: those of the server's settings.`} />
          {action.error && <ErrorNote error={action.error} title="The file was not made." />}
        </form>
      </Card>
      {made && (
        <Card title={`${made.gateway.name} is known now`}>
          <ol class="numbered">
            <li><p>{made.file} was saved by your browser. Bring it onto the router, by its own page or on a stick.</p></li>
            <li><p>Import it there as an OpenVPN client, and start it. OpenVPN on Linux: <span class="mono">openvpn --config {made.file}</span></p></li>
            <li><p>Its tunnel shows up on <a href={`/gateways/${made.gateway.id}`}>the gateway's page</a>; there you set scheme and port of its web page.</p></li>
          </ol>
        </Card>
      )}
    </>
  );
}

// ---- approvals ----

function Approvals() {
  const list = useResource<EnrolmentRequest[]>('requests', (signal) => api.all<EnrolmentRequest>('/enrolment-requests', { query: { state: 'waiting' }, signal }),
    (event) => event.kind === 'enrolment' || event.kind === 'gateway');
  const action = useAction();
  const decide = (request: EnrolmentRequest, what: 'approve' | 'refuse') => void action.run(async () => {
    await api.post(`/enrolment-requests/${request.id}/${what}`);
    say(what === 'approve' ? 'up' : 'resting', what === 'approve' ? `${request.serial} may enrol; it asks again within minutes` : `${request.serial} was refused`);
    list.reload();
  });
  const columns: Column<EnrolmentRequest>[] = [
    { key: 'serial', title: 'Serial number', render: (row) => <b class="medium mono">{row.serial}</b> },
    { key: 'group', title: 'Group', render: (row) => groupName(row.tenant, row.group) },
    { key: 'remote', title: 'Address', render: (row) => <span class="mono">{row.remote}</span> },
    { key: 'key', title: 'Key, SHA-256', wrap: true, render: (row) => <span class="mono small">{row.key}</span> },
    { key: 'at', title: 'Asked', align: 'end', render: (row) => <Time at={row.created} /> },
    { key: 'act', title: <span class="vh">Decide</span>, pin: 'end', align: 'end', render: (row, tab) => (
      <>
        <Button kind="row" tabIndex={tab} label={`Approve ${row.serial}`} onClick={() => decide(row, 'approve')}>Approve</Button>
        <Button kind="row" tabIndex={tab} label={`Refuse ${row.serial}`} onClick={() => decide(row, 'refuse')}>Refuse</Button>
      </>) },
  ];
  return (
    <Card title="Gateways that wait for approval" flush>
      {action.error && <ErrorNote error={action.error} title="It was not decided." />}
      <Loaded resource={list} what="Approvals">
        {(all) => all.length > 0 ? <Table label="Approvals" keys columns={columns} rows={all} rowKey={(row) => row.id} />
          : <EmptyState icon="check" title="Nobody waits">
              With enrolment-approval = yes in amm.conf, a gateway that shows a good token waits here until somebody has looked at its serial number.
            </EmptyState>}
      </Loaded>
    </Card>
  );
}

// ---- tokens given out ----

function Tokens() {
  const id = tenant.value?.id;
  const list = useResource<EnrolmentToken[]>(id === undefined ? null : `tokens ${id}`, (signal) => api.all<EnrolmentToken>('/enrolment-tokens', { query: { tenant: id }, signal }, 2000));
  const action = useAction();
  const revoke = (token: EnrolmentToken) => void action.run(async () => {
    await api.delete(`/enrolment-tokens/${token.id}`);
    say('resting', 'The token was taken back');
    list.reload();
  });
  const columns: Column<EnrolmentToken>[] = [
    { key: 'state', title: 'State', render: (row) => <State state={row.state === 'used' ? 'up' : row.state === 'unused' || row.state === 'open' ? 'pending' : 'unknown'} plain>{row.state}</State> },
    { key: 'group', title: 'Group', render: (row) => groupName(row.tenant, row.group) },
    { key: 'serial', title: 'Used by', render: (row) => row.serial ? <span class="mono">{row.serial}</span> : <span class="dim">–</span> },
    { key: 'note', title: 'Note', wrap: true, render: (row) => row.note },
    { key: 'by', title: 'By', render: (row) => row.by },
    { key: 'created', title: 'Made', align: 'end', render: (row) => <Time at={row.created} as="moment" /> },
    { key: 'expires', title: 'Ends', align: 'end', render: (row) => <Time at={row.expires} as="moment" /> },
    { key: 'act', title: <span class="vh">Take back</span>, pin: 'end', align: 'end', render: (row, tab) => row.used === undefined && (
      <Button kind="row" tabIndex={tab} label={`Take back token ${row.id}`} onClick={() => revoke(row)}>Take back</Button>) },
  ];
  return (
    <Card title="Tokens given out" flush>
      {action.error && <ErrorNote error={action.error} title="The token was not taken back." />}
      <Loaded resource={list} what="Tokens">
        {(all) => all.length > 0 ? <Table label="Tokens" keys columns={columns} rows={[...all].reverse()} rowKey={(row) => row.id} />
          : <EmptyState icon="key" title="No token was made yet" actions={<Button onClick={() => setQuery({ view: null })}>Make a token</Button>}>
              A token lets one gateway enrol, once.
            </EmptyState>}
      </Loaded>
    </Card>
  );
}

export default function Add() {
  usePageTitle('Add gateway');
  const given = query.value.get('view');
  const view = views.some((one) => one.value === given) ? (given as View) : 'token';
  return (
    <>
      <PageHead title="Add gateway" up={[{ text: 'Admin', href: '/admin' }]} note="The gateway opens the connection: nothing has to be opened on its WAN side." />
      <div class="stack-sections">
        <Segments label="What to add" value={view} options={views} onChange={(next) => setQuery({ view: next === 'token' ? null : next })} />
        {view === 'token' ? <MakeToken /> : view === 'file' ? <ConnectionFile /> : view === 'approvals' ? <Approvals /> : <Tokens />}
        {view === 'file' && <Note state="info" title="Such a router has no software of ours: tunnel and web page work, settings and check-ins stay on the router." />}
      </div>
    </>
  );
}
