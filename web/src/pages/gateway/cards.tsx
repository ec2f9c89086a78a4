// Identity, tunnel, requirements, position.

import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayWhole, List, TunnelDetails, TunnelPort, Value } from '../../api/types';
import { Button } from '../../components/button';
import { Card, Facts, Tag } from '../../components/card';
import { CopyButton } from '../../components/copy';
import { Dialog } from '../../components/dialog';
import { Select } from '../../components/field';
import { Lamp, State, tunnelWords } from '../../components/lamp';
import { Bar } from '../../components/progress';
import { EmptyState, ErrorNote } from '../../components/states';
import { Since, Time } from '../../components/time';
import { say } from '../../state/messages';
import { now } from '../../state/now';
import { useAction, useResource } from '../../state/resource';
import { bytes, coordinates, day, number, roughly } from '../../text/format';

const text = (value: Value | undefined) => (typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : null);
const num = (value: Value | undefined) => (typeof value === 'number' ? value : null);

const kinds = { amm: 'our software', aleos: 'ALEOS', openvpn: 'OpenVPN router' } as const;

function certificate(gateway: GatewayWhole) {
  const good = gateway.identities.filter((one) => one.revoked_at === null);
  const last = good.reduce((best, one) => Math.max(best, one.not_after), 0);
  if (last === 0) return gateway.identities.length > 0 ? 'revoked' : null;
  const left = last - now.value;
  if (left < 0) return <State state="down">ended {day(last)}</State>;
  return (
    <>
      {roughly(left)} left{gateway.kind === 'amm' ? ', renews by itself' : ''}
    </>
  );
}

export function Identity({ gateway }: { gateway: GatewayWhole }) {
  const { stats } = gateway;
  const sim = [text(stats['CellLink-CurrentNetworkOperator']), text(stats['CellLink-ICCID'])] as const;
  const tag = [text(stats['Platform']), kinds[gateway.kind] ?? gateway.kind].filter(Boolean).join(', ');
  const certified = certificate(gateway);
  return (
    <Card title="Identity" span={4} end={<Tag>{tag}</Tag>}>
      <Facts
        rows={[
          gateway.serial !== '' && ['Serial', <span class="row tight-row"><span class="mono">{gateway.serial}</span><CopyButton text={gateway.serial} what="serial" /></span>],
          gateway.label !== '' && gateway.label !== gateway.name && ['Device name', gateway.label],
          text(stats['IMEI']) !== null && ['IMEI', <span class="mono">{text(stats['IMEI'])}</span>],
          text(stats['SoftwareVersion']) !== null && ['Software', text(stats['SoftwareVersion'])],
          text(stats['AMMER-Version']) !== null && ['AMMER', text(stats['AMMER-Version'])],
          text(stats['CellLink-RadioFirmwareVersion']) !== null && ['Radio', text(stats['CellLink-RadioFirmwareVersion'])],
          (sim[0] ?? sim[1]) !== null && ['SIM', <>{sim[0]}{sim[0] && sim[1] ? ', ' : ''}<span class="mono">{sim[1]}</span></>],
          certified !== null && ['Certificate', certified],
          gateway.booted_at !== null && ['Running', <><Since at={gateway.booted_at} />{text(stats['BootReason']) ? <span class="dim">, {text(stats['BootReason'])}</span> : null}</>],
          gateway.clock_skew !== null && Math.abs(gateway.clock_skew) > 5 && ['Clock', `${number(Math.abs(gateway.clock_skew))} s ${gateway.clock_skew < 0 ? 'behind' : 'ahead'}`],
          ['Added', day(gateway.created_at)],
          gateway.note !== '' && ['Note', gateway.note],
        ]}
      />
    </Card>
  );
}

function MoveDialog({ gateway, onClose, onMoved }: { gateway: GatewayWhole; onClose: () => void; onMoved: () => void }) {
  const ports = useResource('ports', (signal) => api.get<List<TunnelPort>>('/tunnel/ports', { signal }));
  const others = (ports.data?.items ?? []).filter((one) => one.port !== gateway.tunnel.port);
  const [port, setPort] = useState<string | null>(null);
  const action = useAction();
  const chosen = port ?? (others[0] ? String(others[0].port) : null);
  const move = async () => {
    const done = await action.run(() => api.put<TunnelDetails>(`/gateways/${gateway.id}/tunnel`, { port: Number(chosen) }));
    if (!done) return;
    say('pending', `${gateway.name} moves to port ${chosen}`);
    onMoved();
    onClose();
  };
  return (
    <Dialog
      title={`Move the tunnel of ${gateway.name}`}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Leave it on {gateway.tunnel.port}</Button>
          <Button kind="primary" busy={action.busy} why={chosen === null ? 'There is no other port' : undefined} onClick={() => void move()}>
            Move{chosen === null ? '' : ` to ${chosen}`}
          </Button>
        </>
      }
    >
      <div class="stack">
        <Select
          label="Tunnel port"
          value={chosen ?? ''}
          options={others.map((one) => ({ value: String(one.port), text: `${one.port}, ${number(one.free)} places free` }))}
          onChange={setPort}
          hint="Its address in the tunnel changes. If the new port does not answer within 60 s, the old one comes back."
        />
        {ports.error && <ErrorNote error={ports.error} title="The ports could not be read." onRetry={ports.reload} />}
        {action.error && <ErrorNote error={action.error} title="The tunnel was not moved." />}
      </div>
    </Dialog>
  );
}

/** Bytes of this month by what they were for, as the gateway counts them. */
function Month({ gateway }: { gateway: GatewayWhole }) {
  const parts = [
    { name: 'tunnel', count: num(gateway.stats['Bytes-Tunnel']), series: 1 },
    { name: 'check-in', count: num(gateway.stats['Bytes-CheckIn']), series: 2 },
    { name: 'software', count: num(gateway.stats['Bytes-Software']), series: 4 },
  ] as const;
  const known = parts.filter((one) => one.count !== null && one.count > 0);
  const sum = known.reduce((all, one) => all + (one.count ?? 0), 0);
  if (sum === 0) return <span class="dim">nothing counted yet</span>;
  const words = known.map((one) => `${one.name} ${bytes(one.count ?? 0)}`).join(', ');
  return (
    <>
      <b>{bytes(sum)}</b>
      <Bar thin label={`This month ${bytes(sum)}: ${words}`} parts={known.map((one) => ({ share: (one.count ?? 0) / sum, series: one.series }))} />
      <span class="small dim">{words}</span>
    </>
  );
}

export function Tunnel({ gateway, mayOperate, onChange }: { gateway: GatewayWhole; mayOperate: boolean; onChange: () => void }) {
  const [isMoving, setMoving] = useState(false);
  const mine = (data: Record<string, unknown>) => data['gateway'] === gateway.id || data['id'] === gateway.id;
  const details = useResource(
    `tunnel ${gateway.id}`,
    (signal) => api.get<TunnelDetails>(`/gateways/${gateway.id}/tunnel`, { signal }),
    (event) => (event.kind === 'tunnel' || event.kind === 'gateway') && mine(event.data),
  );
  const live = details.data;
  const { tunnel, lamps } = gateway;
  const word = tunnelWords[lamps.tunnel];
  const hasPlace = tunnel.port !== null;
  return (
    <Card title="Tunnel" span={4} end={<State state={lamps.tunnel}>{word.charAt(0).toUpperCase() + word.slice(1)}</State>}>
      {!hasPlace && lamps.tunnel === 'unknown' ? (
        <EmptyState icon="tunnel" title="No tunnel yet">
          Enable the management tunnel (MSCIID 60001) for the gateway or its group. It joins after its next check-in.
        </EmptyState>
      ) : (
        <Facts
          rows={[
            tunnel.address !== null && ['Address', <span class="row tight-row"><span class="mono">{tunnel.address}</span><CopyButton text={tunnel.address} what="address" /></span>],
            hasPlace && ['Port', <>{tunnel.port}{live?.transport ? `, ${live.transport.toUpperCase()}` : ''}{mayOperate && tunnel.move_port === undefined && <> <Button kind="row" onClick={() => setMoving(true)}>Move</Button></>}</>],
            tunnel.move_port !== undefined && ['Moves to', <State state="pending">{tunnel.move_port}{tunnel.move_until ? <>, until <Time at={tunnel.move_until} as="moment" /></> : ''}</State>],
            tunnel.since !== null && [tunnel.up ? 'Up since' : 'Down since', <><Time at={tunnel.since} as="moment" /><span class="dim">, <Since at={tunnel.since} /></span></>],
            live?.heard_at !== undefined && ['Last packet', <Time at={live.heard_at} />],
            live?.remote !== undefined && ['From', <span class="mono">{live.remote}</span>],
            live?.client !== undefined && live.client !== '' && ['Client', live.client],
            live?.rx_bytes !== undefined && ['Since joined', `${bytes(live.rx_bytes)} in, ${bytes(live.tx_bytes ?? 0)} out`],
            tunnel.error !== undefined && !tunnel.up && ['Last error', <>{tunnel.error}{tunnel.error_at ? <span class="dim">, <Time at={tunnel.error_at} /></span> : null}</>],
            tunnel.stale === true && ['Note', 'The tunnel server has not been heard; this is the last known state.'],
            gateway.kind !== 'openvpn' && ['This month', <Month gateway={gateway} />],
          ]}
        />
      )}
      {isMoving && <MoveDialog gateway={gateway} onClose={() => setMoving(false)} onMoved={() => { details.reload(); onChange(); }} />}
    </Card>
  );
}

const features: Record<string, string> = {
  tunnel: 'Management tunnel',
  page: 'Web page through the tunnel',
  'check-in': 'Check-in and stats',
  settings: 'Settings from here',
  events: 'Events',
  operations: 'Operations',
  software: 'Software',
};

export function Requirements({ gateway }: { gateway: GatewayWhole }) {
  const all = Object.entries(gateway.requirements);
  const met = all.filter(([, one]) => one.supported).length;
  const faults = all.filter(([, one]) => !one.supported && one.fault).length;
  const sorted = [...all].sort(([, a], [, b]) => Number(a.supported) - Number(b.supported));
  return (
    <Card title="Requirements" span={4} end={<State state={faults > 0 ? 'degraded' : 'up'}>{met} of {all.length} met</State>}>
      <ul class="requirements">
        {sorted.map(([name, one]) => (
          <li key={name}>
            <Lamp state={one.supported ? 'up' : one.fault ? 'degraded' : 'resting'} label={one.supported ? 'met' : one.fault ? 'not met' : 'not for this kind of gateway'} />
            <div>
              <div>{features[name] ?? name}</div>
              {one.why && <div class="small sec">{one.why}</div>}
              {one.cure && <div class="small dim">{one.cure}</div>}
            </div>
          </li>
        ))}
      </ul>
    </Card>
  );
}

export function Position({ gateway }: { gateway: GatewayWhole }) {
  const { stats } = gateway;
  const [latitude, longitude, quality] = [num(stats['GPS Location-latitude']), num(stats['GPS Location-longitude']), num(stats['GPS-Quality'])];
  if (latitude === null || longitude === null) return null;
  const where = coordinates(latitude, longitude);
  const speed = num(stats['GPS Location-speedmph']);
  return (
    <Card title="Position" span={4}>
      <Facts
        rows={[
          ['Coordinates', <span class="row tight-row"><span>{where}</span><CopyButton text={`${latitude}, ${longitude}`} what="coordinates" /></span>],
          quality !== null && ['Fix', quality === 0 ? 'none: this is the last one' : 'good'],
          num(stats['GPS-Satellites']) !== null && ['Satellites', number(num(stats['GPS-Satellites']) ?? 0)],
          speed !== null && ['Speed', `${number(speed * 1.609344)} km/h`],
          gateway.last_checkin !== null && ['As of', <Time at={gateway.last_checkin} />],
        ]}
      />
    </Card>
  );
}
