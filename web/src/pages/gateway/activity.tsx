// Operations, remote sessions, events.

import { useMemo } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayEvent, GatewayWhole, LampState, List, Operation, RemoteSession } from '../../api/types';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { State } from '../../components/lamp';
import { operationColumns } from '../../components/operations';
import { EmptyState, ErrorNote, Loaded } from '../../components/states';
import { None, Table, type Column } from '../../components/table';
import { Time, ZoneNote } from '../../components/time';
import { endSession } from '../../state/remote';
import { useAction, useResource, type Resource } from '../../state/resource';
import { me } from '../../state/session';
import { bytes, duration, plural } from '../../text/format';

export function Operations({ gateway, operations }: { gateway: GatewayWhole; operations: Resource<List<Operation>> }) {
  const columns = useMemo(() => operationColumns({ withGateway: false, onChange: operations.reload }), [operations.reload]);
  const can = gateway.requirements['operations'];
  return (
    <Card title="Operations" span={8} flush end={<a class="small" href="/operations?state=all">All</a>}>
      <Loaded resource={operations} what="The operations">
        {(data) =>
          data.items.length === 0 ? (
            <EmptyState icon="pulse" title="Nothing was asked of it yet">{can?.supported === false ? can.why : 'Check in now, Reboot and settings that are on their way stand here, with how far they are.'}</EmptyState>
          ) : (
            <Table label="Operations" columns={columns} rows={data.items} rowKey={(one) => one.id} />
          )
        }
      </Loaded>
    </Card>
  );
}

const sessionStates: Record<RemoteSession['state'], { lamp: LampState; word: string }> = {
  waiting: { lamp: 'pending', word: 'Waiting' },
  ready: { lamp: 'pending', word: 'Ready' },
  open: { lamp: 'up', word: 'Open' },
  ended: { lamp: 'resting', word: 'Ended' },
};

export function Sessions({ sessions, mayOperate }: { sessions: Resource<List<RemoteSession>>; mayOperate: boolean }) {
  const action = useAction();
  const end = async (one: RemoteSession) => {
    await action.run(() => endSession(one.id));
    sessions.reload();
  };
  const length = (one: RemoteSession) => (one.ended_at !== null && one.entered_at !== null ? `, ${duration(one.ended_at - one.entered_at)}` : '');
  const columns: Column<RemoteSession>[] = [
    { key: 'state', title: 'State', render: (one) => <State state={sessionStates[one.state].lamp} plain={one.state === 'ended'}>{sessionStates[one.state].word}</State> },
    { key: 'who', title: 'Operator', wrap: true, render: (one) => <><div>{one.operator}</div><div class="small sec"><Time at={one.opened_at} as="moment" />{length(one)}</div></> },
    {
      key: 'why',
      title: 'Reason, size',
      wrap: true,
      render: (one) => (
        <>
          <div>{one.reason ? one.reason : <None />}</div>
          <div class="small sec">{plural(one.requests, 'request')}, {bytes(one.bytes_in + one.bytes_out)}{one.end_reason ? `; ${one.end_reason}` : ''}</div>
        </>
      ),
    },
    {
      key: 'act',
      title: <span class="vh">Actions</span>,
      align: 'end',
      pin: 'end',
      render: (one, tab) => one.state !== 'ended' && (mayOperate || one.operator === me.value?.name) && <Button kind="row" tabIndex={tab} busy={action.busy} onClick={() => void end(one)}>End</Button>,
    },
  ];
  return (
    <Card title="Remote sessions" span={4} flush>
      {action.error && <ErrorNote error={action.error} title="The session was not ended." />}
      <Loaded resource={sessions} what="The remote sessions">
        {(data) =>
          data.items.length === 0 ? (
            <EmptyState icon="out" title="Nobody has opened its page yet">Who opens it, when, why and how much he moved stands here.</EmptyState>
          ) : (
            <Table label="Remote sessions" columns={columns} rows={data.items} rowKey={(one) => one.id} />
          )
        }
      </Loaded>
    </Card>
  );
}

const eventLamps: Record<string, LampState> = { 'tunnel-up': 'up', 'tunnel-down': 'down', late: 'degraded', 'on-time': 'up', 'threshold-ok': 'up', 'threshold-warning': 'degraded', 'threshold-error': 'down', clone: 'down', refused: 'down' };

export function Events({ gateway }: { gateway: GatewayWhole }) {
  const hasPosition = typeof gateway.stats['GPS Location-latitude'] === 'number'; // that card stands beside it
  const events = useResource(
    `events ${gateway.id}`,
    (signal) => api.get<List<GatewayEvent>>(`/gateways/${gateway.id}/events`, { query: { limit: 20 }, signal }),
    (event) => event.kind === 'event' && event.data['gateway'] === gateway.id,
  );
  const columns: Column<GatewayEvent>[] = [
    { key: 'at', title: 'Time', render: (one) => <Time at={one.at} as="moment" /> },
    { key: 'kind', title: 'Event', render: (one) => <State state={eventLamps[one.kind] ?? 'resting'} plain>{one.kind.replace(/-/g, ' ')}</State> },
    { key: 'text', title: 'In words', wrap: true, width: '60%', render: (one) => one.text },
    { key: 'by', title: 'Seen by', render: (one) => <span class="sec">{one.source}</span> },
  ];
  return (
    <Card title="Events" span={hasPosition ? 8 : 12} flush footer={<ZoneNote />}>
      <Loaded resource={events} what="The events">
        {(data) =>
          data.items.length === 0 ? (
            <EmptyState icon="clock" title="Nothing has happened yet">Tunnel up and down, late check-ins and what the gateway reports stand here.</EmptyState>
          ) : (
            <Table label="Events" columns={columns} rows={data.items} rowKey={(one) => one.id} />
          )
        }
      </Loaded>
    </Card>
  );
}
