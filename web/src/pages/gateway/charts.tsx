// Radio and traffic.

import { useMemo, useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayWhole, History } from '../../api/types';
import { Segments } from '../../components/button';
import { Card } from '../../components/card';
import { Chart, type Series } from '../../components/chart';
import { EmptyState, ErrorNote, Skeleton } from '../../components/states';
import { now } from '../../state/now';
import { useResource } from '../../state/resource';
import { clock, number, roughly, withUnit } from '../../text/format';
import { byPurpose, withGaps } from '../../text/series';

const periods = { '6h': 6 * 3600, '24h': 86400, '7d': 7 * 86400, '30d': 30 * 86400 } as const;
type Period = keyof typeof periods;

function useHistory(gateway: string, stat: string, period: Period) {
  // whole minutes, so that the key does not move with each second
  const [until] = useState(() => Math.floor(now.value / 60) * 60);
  const from = until - periods[period];
  const resource = useResource(
    `${gateway} ${stat} ${period} ${until}`,
    (signal) => api.get<History>(`/gateways/${gateway}/history`, { query: { stat, from, to: until }, signal }),
  );
  return { ...resource, from, to: until };
}

function Signal({ gateway, stat, title, period }: { gateway: string; stat: string; title: string; period: Period }) {
  const history = useHistory(gateway, stat, period);
  const { data } = history;
  const drawn = useMemo(() => withGaps(data?.points ?? [], data?.gaps ?? []), [data]);
  const series = useMemo((): Series[] => [{ label: title, color: 1, values: drawn.values }], [drawn]);
  const last = data?.points[data.points.length - 1];
  const lowest = data?.points.reduce((least, [, value]) => Math.min(least, value), Infinity);
  const unit = data?.unit ?? '';
  if (history.error) return <ErrorNote error={history.error} title={`${title} could not be read.`} onRetry={history.reload} />;
  if (!data) return <Skeleton lines={5} label={`Loading ${title}`} />;
  if (!last) return <EmptyState icon="pulse" title={`No ${title} in this time`}>It comes with check-ins of a gateway with a modem.</EmptyState>;
  const outages = data.tunnel ?? [];
  const text = `${title} in ${unit}, now ${number(last[1])}, lowest ${number(lowest ?? 0)}${outages.length > 0 ? `; tunnel down ${outages.map(([a, b]) => `from ${clock(a)} to ${clock(b)}`).slice(0, 5).join(', ')}` : ''}`;
  return (
    <figure>
      <figcaption class="legend">
        <b>{title}, {unit}</b>
        <span>now {number(last[1])}</span>
        {outages.length > 0 && <span><i class="key outage" />tunnel down</span>}
      </figcaption>
      <Chart text={text} times={drawn.times} series={series} from={history.from} to={history.to} bands={outages} digits={0} />
    </figure>
  );
}

const purposes = [
  { key: 'page', label: 'web page', color: 1 },
  { key: 'checkin', label: 'check-in', color: 2 },
  { key: 'tunnel', label: 'other', color: 4 },
] as const;

function Traffic({ gateway, stat, period }: { gateway: string; stat: string; period: Period }) {
  const history = useHistory(gateway, stat, period);
  const traffic = useMemo(() => byPurpose(history.data?.traffic ?? []), [history.data]);
  const step = history.data?.traffic_step ?? 3600;
  const used = purposes.filter((one) => traffic.some((part) => part[one.key] > 0));
  const times = useMemo(() => traffic.map((one) => one.at), [traffic]);
  const series = useMemo(() => used.map((one): Series => ({ label: one.label, color: one.color, values: traffic.map((part) => Math.round(part[one.key] / 100) / 10) })), [traffic]);
  if (history.error) return null; // the chart beside it says it
  if (!history.data) return <Skeleton lines={5} label="Loading traffic" />;
  const sums = traffic.map((part) => part.page + part.checkin + part.tunnel);
  const most = Math.max(0, ...sums);
  if (most === 0) return <EmptyState icon="pulse" title="No traffic counted in this time">Bytes are counted by purpose, hour by hour.</EmptyState>;
  const title = step === 3600 ? 'kB per hour' : `kB per ${roughly(step)}`;
  const text = `${title} by purpose: ${used.map((one) => one.label).join(', ')}; highest ${number(most / 1000)} at ${clock(traffic[sums.indexOf(most)]?.at ?? 0)}`;
  return (
    <figure>
      <figcaption class="legend">
        <b>{title}</b>
        {used.map((one) => <span key={one.key}><i class={`key series-${one.color}`} />{one.label}</span>)}
      </figcaption>
      <Chart text={text} kind="bars" times={times} series={series} from={history.from} to={history.to} />
    </figure>
  );
}

function Spark({ gateway, stat, title, period }: { gateway: string; stat: string; title: string; period: Period }) {
  const history = useHistory(gateway, stat, period);
  const points = history.data?.points ?? [];
  const drawn = useMemo(() => withGaps(points, history.data?.gaps ?? []), [history.data]);
  const series = useMemo((): Series[] => [{ label: title, color: 1, values: drawn.values }], [drawn]);
  const last = points[points.length - 1];
  return (
    <li>
      <span class="dim">{title}</span>
      <b>{last ? withUnit(last[1], history.data?.unit ?? '', 1) : '–'}</b>
      {points.length > 1 && <Chart spark height={28} text={`${title}: ${points.length} values, now ${number(last?.[1] ?? 0, 1)}`} times={drawn.times} series={series} from={history.from} to={history.to} />}
    </li>
  );
}

export function Charts({ gateway }: { gateway: GatewayWhole }) {
  const [period, setPeriod] = useState<Period>('24h');
  const isOurs = gateway.kind !== 'openvpn';
  const options = [{ value: '6h', text: '6 h' }, { value: '24h', text: '24 h' }, { value: '7d', text: '7 d' }, { value: '30d', text: '30 d' }] as const;
  const signal = typeof gateway.stats['CellLink-RSRP'] === 'number' || gateway.stats['CellLink-RSSI'] === undefined ? ['CellLink-RSRP', 'RSRP'] as const : ['CellLink-RSSI', 'RSSI'] as const;
  return (
    <Card title="Radio and traffic" span={8} end={isOurs && <Segments<Period> label="Period" value={period} options={options} onChange={setPeriod} />}>
      {isOurs ? (
        <div class="charts">
          <Signal gateway={gateway.id} stat={signal[0]} title={signal[1]} period={period} />
          <Traffic gateway={gateway.id} stat={signal[0]} period={period} />
          <ul class="sparks">
            <Spark gateway={gateway.id} stat="CellLink-SINR" title="SINR" period={period} />
            <Spark gateway={gateway.id} stat="CellLink-RSRQ" title="RSRQ" period={period} />
          </ul>
        </div>
      ) : (
        <EmptyState icon="pulse" title="This router does not report its radio">It has no software of ours. Its tunnel is watched by the server.</EmptyState>
      )}
    </Card>
  );
}
