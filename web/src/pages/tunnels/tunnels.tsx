// Tunnel ports and pools: places of each port, what is free, draining; and changing a pool with all that it clashes with.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { ConfirmDialog } from '../../components/dialog';
import { Select } from '../../components/field';
import { State } from '../../components/lamp';
import { EmptyState, Loaded, Note } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { api } from '../../api/client';
import type { RefusedJoin, TunnelStatus } from '../../api/shapes';
import type { List, TunnelPort } from '../../api/types';
import { sentence } from '../../model/sheet';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { may } from '../../state/session';
import { usePageTitle } from '../../state/title';
import { number, plural } from '../../text/format';
import { PlacesBar } from '../dashboard/tiles';
import { PageHead } from '../head';
import { PoolEditor } from './pool';

function stateOf(port: TunnelPort, isKnown: boolean) {
  if (!isKnown) return <State state="unknown" plain>Not heard</State>;
  if (port.draining) return <State state="degraded" plain>Draining</State>;
  if (port.gateways.moving > 0) return <State state="pending" plain>Serving, {number(port.gateways.moving)} moving</State>;
  return <State state="up" plain>Serving</State>;
}

/** Whoever is no system administrator sees his own gateways, and what he could still have. */
function limitOf(port: TunnelPort): number {
  return port.limit ?? port.gateways.places + port.free;
}

function serverAddress(pool: string): string {
  const [address = ''] = pool.split('/');
  const parts = address.split('.');
  return [...parts.slice(0, 3), String(Number(parts[3]) + 1)].join('.');
}

function columnsOf(isKnown: boolean, edit: ((port: TunnelPort) => void) | null): Column<TunnelPort>[] {
  const columns: Column<TunnelPort>[] = [
    { key: 'port', title: 'Port', pin: 'start', render: (port) => <b class="medium">{port.port}</b> },
    { key: 'state', title: 'State', render: (port) => stateOf(port, isKnown) },
    { key: 'pool', title: 'Pool', render: (port) => <span class="mono">{port.pool}</span> },
    { key: 'address', title: 'Server address', render: (port) => <span class="mono dim">{serverAddress(port.pool)}</span> },
    { key: 'topology', title: 'Topology', render: (port) => port.topology },
    { key: 'places', title: 'Places', width: '13rem', render: (port) => (
      <span class="places-cell">
        <PlacesBar own={port.gateways.places} others={Math.max(0, (port.taken ?? 0) - port.gateways.places)} limit={limitOf(port)} />
        <span class="num">{number(port.gateways.places)} <span class="dim">/ {number(limitOf(port))}</span></span>
      </span>) },
    { key: 'up', title: 'Up', align: 'end', render: (port) => number(port.gateways.up) },
    { key: 'free', title: 'Free for you', align: 'end', render: (port) => number(port.free) },
  ];
  if (edit) {
    columns.push({ key: 'edit', title: <span class="vh">Change</span>, pin: 'end', align: 'end',
      render: (port, tab) => <Button kind="row" tabIndex={tab} label={`Change the pool of port ${port.port}`} onClick={() => edit(port)}>Edit</Button> });
  }
  return columns;
}

function Drain({ ports, onClose }: { ports: TunnelPort[]; onClose: () => void }) {
  const [port, setPort] = useState(String(ports[0]?.port ?? 0));
  const [hold, setHold] = useState('600');
  const action = useAction();
  const drain = () => void action.run(async () => {
    await api.post('/tunnel/drain', { port: Number(port), hold: Number(hold) });
    say('pending', `Port ${port} is being drained`);
    onClose();
  });
  const up = ports.find((one) => String(one.port) === port)?.gateways.up ?? 0;
  return (
    <ConfirmDialog title="Drain a port?" act="Drain" keep="Keep it serving" danger busy={action.busy} error={action.error} onConfirm={drain} onClose={onClose}>
      <p>{plural(up, 'tunnel')} of yours on it end at once. The gateways come back by themselves when the port is open again. Open remote sessions end.</p>
      <Select label="Port" value={port} options={ports.map((one) => ({ value: String(one.port), text: String(one.port) }))} onChange={setPort} />
      <Select label="Held shut for" value={hold} onChange={setHold} options={[
        { value: '0', text: 'not at all: they reconnect at once' }, { value: '60', text: '1 min' }, { value: '600', text: '10 min' },
        { value: '3600', text: '1 h' }]} />
    </ConfirmDialog>
  );
}

const alarms: Record<string, string> = {
  crl: 'The list of revoked certificates cannot be read; the last good one is in force.',
  roster: 'The list of gateways cannot be read; the last good one is in force.',
  certificate: 'The certificate of the tunnel server is about to end.',
};

function Health({ status }: { status: TunnelStatus }) {
  return (
    <>
      {!status.known && (
        <Note state="down" role="alert" title="The tunnel server is not heard.">
          <p>Tunnels that are up stay up. {sentence(status.problem || 'amm-tunneld may be stopped')} On the server, ammctl doctor says what to do.</p>
        </Note>
      )}
      {status.alarms?.map((alarm) => <Note key={alarm} state="degraded" title={alarms[alarm] ?? alarm} />)}
      {status.gateways_file && <Note state="degraded" title="The gateways file could not be written."><p>{status.gateways_file}</p></Note>}
    </>
  );
}

const isTunnel = (event: { kind: string }) => event.kind === 'tunnel' || event.kind === 'gateway';

export default function Tunnels() {
  usePageTitle('Tunnel ports and pools');
  const [edited, setEdited] = useState<TunnelPort | null>(null);
  const [isDraining, setDraining] = useState(false);
  const isSystem = may('system');
  const status = useResource<TunnelStatus>('tunnel', (signal) => api.get('/tunnel', { signal }), isTunnel);
  const ports = useResource<TunnelPort[]>('ports', async (signal) => (await api.get<List<TunnelPort>>('/tunnel/ports', { signal })).items, isTunnel);
  const refused = useResource<List<RefusedJoin>>('refused-count', (signal) => api.get('/tunnel/refused', { query: { limit: 1000 }, signal }));
  const count = refused.data?.items.length ?? 0;
  const hasOthers = ports.data?.some((port) => (port.taken ?? 0) > port.gateways.places) ?? false;
  return (
    <>
      <PageHead title="Tunnel ports and pools" note={status.data && `${plural(status.data.gateways.up, 'tunnel')} up, ${
        plural(status.data.gateways.places, 'place')} taken by the gateways that you see`}>
        <Button href="/tunnels/refused">Refused joins {count > 0 && <span class="pill">{number(count)}</span>}</Button>
        {isSystem && ports.data && ports.data.length > 0 && <Button onClick={() => setDraining(true)}>Drain a port</Button>}
      </PageHead>
      <div class="stack-sections">
        {status.data && <Health status={status.data} />}
        <Card title="Ports" flush footer={
          <>
            <span class="swatch own">Gateways that you see</span>
            {hasOthers && <span class="swatch others">Others</span>}
            <span class="at-end">New gateways go to the port with most free places, unless 10034 is set</span>
          </>
        }>
          <Loaded resource={ports} what="The tunnel ports">
            {(all) => all.length === 0
              ? <EmptyState icon="tunnel" title="This server has no tunnel ports">They stand in amm.conf, section [port]; ammctl doctor checks it.</EmptyState>
              : <Table label="Tunnel ports" keys columns={columnsOf(status.data?.known ?? true, isSystem ? setEdited : null)} rows={all}
                  rowKey={(port) => String(port.port)} selected={(port) => port.port === edited?.port}
                  {...(isSystem ? { onOpen: setEdited } : {})} />}
          </Loaded>
        </Card>
        {edited && ports.data && (
          <PoolEditor key={edited.port} port={edited} ports={ports.data} onClose={() => setEdited(null)} onChanged={ports.reload} />
        )}
      </div>
      {isDraining && ports.data && <Drain ports={ports.data} onClose={() => setDraining(false)} />}
    </>
  );
}
