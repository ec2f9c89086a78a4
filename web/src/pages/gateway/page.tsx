// Gateway Details.

import { useEffect, useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayWhole, List, Operation, RemoteSession } from '../../api/types';
import { Button } from '../../components/button';
import { ConfirmDialog } from '../../components/dialog';
import { Icon } from '../../components/icon';
import { Badge, checkinWords, tunnelWords } from '../../components/lamp';
import { MenuButton } from '../../components/menu';
import { ErrorNote, Note, Skeleton } from '../../components/states';
import { Since, Time } from '../../components/time';
import { checkInNow, order, orderReboot } from '../../state/acts';
import { pathOfGroup } from '../../state/fleet';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { query, setQuery } from '../../state/router';
import { gatewayGroup } from '../../state/scope';
import { may } from '../../state/session';
import { usePageTitle } from '../../state/title';
import { NotFound } from '../not-found';
import type { PageProps } from '../routes';
import { Events, Operations, Sessions } from './activity';
import { Identity, Position, Requirements, Tunnel } from './cards';
import { Charts } from './charts';
import { Parameters } from './parameters';
import { TestDialog } from './test';
import { WebPage } from './web-page';

function Crumbs({ group }: { group: string }) {
  return (
    <nav class="crumbs" aria-label="Path">
      {pathOfGroup(group).map((one, i) => (
        <>
          {i > 0 && <Icon name="right" />}
          <a href={`/dashboard?group=${one.id}`}>{one.name}</a>
        </>
      ))}
    </nav>
  );
}

function Badges({ gateway }: { gateway: GatewayWhole }) {
  const { lamps } = gateway;
  return (
    <>
      {gateway.kind !== 'openvpn' && (
        <Badge state={lamps.checkin}>
          Check-in {checkinWords[lamps.checkin]}
          {gateway.last_checkin !== null && <>, <Time at={gateway.last_checkin} /></>}
        </Badge>
      )}
      <Badge state={lamps.tunnel}>
        Tunnel {tunnelWords[lamps.tunnel]}
        {gateway.tunnel.since !== null && lamps.tunnel !== 'unknown' && <>, <Since at={gateway.tunnel.since} /></>}
      </Badge>
      {gateway.sync !== 'in-sync' && gateway.sync_text !== '' && gateway.sync_text !== 'In Sync' && <Badge state="pending">{gateway.sync_text}</Badge>}
    </>
  );
}

function FactoryReset({ gateway, onClose }: { gateway: GatewayWhole; onClose: () => void }) {
  const action = useAction();
  const confirm = async () => {
    if (!(await action.run(() => order(gateway.id, 'factory-reset')))) return;
    say('pending', `Factory reset of ${gateway.name} is ordered`);
    onClose();
  };
  return (
    <ConfirmDialog title={`Factory reset of ${gateway.name}?`} typed={gateway.name} act="Factory reset" keep="Keep the gateway" danger busy={action.busy} error={action.error} onConfirm={() => void confirm()} onClose={onClose}>
      <p>All settings and logins on the gateway become as delivered. Settings from here are sent again with the next check-in.</p>
      <ul class="bullets sec">
        <li>Open remote sessions end</li>
        <li>Its certificate, history and audit log stay</li>
      </ul>
    </ConfirmDialog>
  );
}

function Head({ gateway, mayOperate, onTest }: { gateway: GatewayWhole; mayOperate: boolean; onTest: () => void }) {
  const [isResetting, setResetting] = useState(false);
  const action = useAction();
  const cannot = gateway.requirements['operations']?.supported === false ? gateway.requirements['operations'].why : undefined;
  const why = mayOperate ? cannot : 'You may only look here';
  const ask = async (kind: string, text: string) => {
    if (await action.run(() => order(gateway.id, kind))) say('pending', text);
  };
  return (
    <>
      <div class="head">
        <div>
          <Crumbs group={gateway.group} />
          <div class="head-line">
            <h1>{gateway.name}</h1>
            <Badges gateway={gateway} />
          </div>
        </div>
        <div class="actions">
          <Button icon="again" why={why} onClick={() => void checkInNow(gateway)}>Check in now</Button>
          <Button icon="pulse" why={mayOperate ? undefined : why} onClick={onTest}>Test</Button>
          <Button icon="power" why={why} onClick={() => orderReboot(gateway)}>Reboot</Button>
          <MenuButton
            icon="more"
            label="More actions"
            menu="More actions"
            align="end"
            items={() => [
              { text: 'Diagnostics bundle', icon: 'download', why, run: () => void ask('diagnostics', `${gateway.name} is asked for a bundle; it is found under Operations`) },
              { text: 'Renew the certificate', icon: 'lock', why, run: () => void ask('renew-certificate', `${gateway.name} is asked to renew its certificate`) },
              { text: 'Apply settings again', icon: 'sliders', why, run: () => void ask('apply-settings', `${gateway.name} is asked to take its settings`) },
              { kind: 'line' },
              { text: 'Factory reset', icon: 'trash', danger: true, why, run: () => setResetting(true) },
            ]}
          />
        </div>
      </div>
      {action.error && <ErrorNote error={action.error} title="It was not ordered." />}
      {isResetting && <FactoryReset gateway={gateway} onClose={() => setResetting(false)} />}
    </>
  );
}

function Access({ gateway }: { gateway: GatewayWhole }) {
  if (gateway.access === 'admitted' && !gateway.clone) return null;
  const title = gateway.clone ? 'Two gateways use this identity' : `Access: ${gateway.access}`;
  return (
    <Note state={gateway.access === 'pending' ? 'pending' : 'down'} title={title}>
      {gateway.access_reason !== '' && <p>{gateway.access_reason}</p>}
    </Note>
  );
}

export default function GatewayPage({ params }: PageProps) {
  const id = params['id'] ?? '';
  const [isTesting, setTesting] = useState(query.value.get('do') === 'test');
  const isMine = (data: Record<string, unknown>) => data['id'] === id || data['gateway'] === id;
  const gateway = useResource(`gateway ${id}`, (signal) => api.get<GatewayWhole>(`/gateways/${encodeURIComponent(id)}`, { signal }), (event) => ['gateway', 'tunnel', 'remote-session'].includes(event.kind) && isMine(event.data));
  const operations = useResource(
    `operations ${id}`,
    (signal) => api.get<List<Operation>>(`/gateways/${encodeURIComponent(id)}/operations`, { query: { limit: 10 }, signal }),
    (event) => (event.kind === 'operation' || event.kind === 'gateway') && isMine(event.data),
  );
  const sessions = useResource(
    `sessions ${id}`,
    (signal) => api.get<List<RemoteSession>>(`/gateways/${encodeURIComponent(id)}/remote-sessions`, { query: { limit: 8 }, signal }),
    (event) => event.kind === 'remote-session' && isMine(event.data),
  );
  const { data } = gateway;
  usePageTitle(data?.name ?? 'Gateway');
  useEffect(() => {
    gatewayGroup.value = data?.group ?? null;
    return () => void (gatewayGroup.value = null);
  }, [data?.group]);
  useEffect(() => {
    if (query.value.get('do') === 'test') setQuery({ do: null });
  }, []);

  if (!data) {
    if (gateway.error?.status === 404) return <NotFound what={id} gateway />;
    if (gateway.error) return <ErrorNote error={gateway.error} title="The gateway could not be read." onRetry={gateway.reload} />;
    return (
      <>
        <h1 class="vh">Gateway</h1>
        <Skeleton lines={8} label="Loading the gateway" />
      </>
    );
  }
  const path = pathOfGroup(data.group);
  const above = path.map((one) => one.id);
  const mayOperate = may('operate', data.tenant, above);
  const branch = path[path.length - 1]?.name ?? 'this branch';
  return (
    <>
      <Head gateway={data} mayOperate={mayOperate} onTest={() => setTesting(true)} />
      <div class="grid details">
        <Access gateway={data} />
        {gateway.error && <ErrorNote error={gateway.error} title="What you see may be old." onRetry={gateway.reload} />}
        <Identity gateway={data} />
        <Tunnel gateway={data} mayOperate={mayOperate} onChange={gateway.reload} />
        <WebPage gateway={data} sessions={sessions} mayOperate={mayOperate} mayAdminister={may('admin', data.tenant, above)} branch={branch} onChange={gateway.reload} />
        <Requirements gateway={data} />
        <Charts gateway={data} />
        <Parameters gateway={data} mayOperate={mayOperate} />
        <Operations gateway={data} operations={operations} />
        <Sessions sessions={sessions} mayOperate={mayOperate} />
        <Events gateway={data} />
        <Position gateway={data} />
      </div>
      {isTesting && <TestDialog gateway={data} onClose={() => setTesting(false)} />}
    </>
  );
}
