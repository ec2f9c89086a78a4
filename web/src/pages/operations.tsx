// All operations of the branch that is selected, newest first.

import { useMemo, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { List, Operation } from '../api/types';
import { Button, Segments } from '../components/button';
import { operationColumns } from '../components/operations';
import { EmptyState, Loaded } from '../components/states';
import { Table } from '../components/table';
import { ZoneNote } from '../components/time';
import { tenant } from '../state/fleet';
import { useResource } from '../state/resource';
import { navigate, query, setQuery } from '../state/router';
import { usePageTitle } from '../state/title';

type Shown = 'open' | 'all' | 'failed';
const PAGE = 200;

export default function Operations() {
  usePageTitle('Operations');
  const shown = (['all', 'failed'].find((one) => one === query.value.get('state')) ?? 'open') as Shown;
  const id = tenant.value?.id;
  const [more, setMore] = useState<{ key: string; items: Operation[]; next: string | undefined } | null>(null);
  const filters = { tenant: id, state: shown === 'all' ? undefined : shown, limit: PAGE };
  const key = id === undefined ? null : `${id} ${shown}`;
  const first = useResource(
    key,
    (signal) => api.get<List<Operation>>('/operations', { query: filters, signal }),
    (event) => event.kind === 'operation' || (event.kind === 'gateway' && JSON.stringify(event.data['changes'] ?? []).includes('operations')),
  );
  const next = more?.key === key ? more?.next : first.data?.next;
  const readMore = async () => {
    if (key === null || next === undefined) return;
    const page = await api.get<List<Operation>>('/operations', { query: { ...filters, after: next } });
    setMore((old) => ({ key, items: [...(old?.key === key ? old.items : []), ...page.items], next: page.next }));
  };
  const columns = useMemo(() => operationColumns({ withGateway: true, onChange: first.reload }), [first.reload]);
  const rows = [...(first.data?.items ?? []), ...(more?.key === key ? (more?.items ?? []) : [])];
  const empty: Record<Shown, [string, string]> = {
    open: ['Nothing is under way', 'What is asked of gateways, a reboot or settings for example, is found here until it is done.'],
    failed: ['Nothing has failed', 'Operations that a gateway could not do stand here, with its words.'],
    all: ['Nothing was ever asked of a gateway', 'Open a gateway and use Check in now, Test or Reboot.'],
  };
  return (
    <div class="fill">
      <div class="head">
        <div>
          <h1>Operations</h1>
          <p class="sec">{tenant.value?.name ?? ''}</p>
        </div>
        <div class="actions">
          <Segments<Shown>
            label="Which operations"
            value={shown}
            options={[{ value: 'open', text: 'Under way' }, { value: 'failed', text: 'Failed' }, { value: 'all', text: 'All' }]}
            onChange={(value) => setQuery({ state: value === 'open' ? null : value })}
          />
        </div>
      </div>
      <section class="card" aria-label="Operations">
        <Loaded resource={first} what="The operations" lines={8}>
          {() =>
            rows.length === 0 ? (
              <EmptyState icon="pulse" title={empty[shown][0]}>{empty[shown][1]}</EmptyState>
            ) : (
              <>
                <div class="table-box grows">
                  <Table label="Operations" columns={columns} rows={rows} rowKey={(one) => one.id} onOpen={(one) => navigate(`/gateways/${one.gateway}`)} keys />
                </div>
                <div class="table-foot">
                  <ZoneNote />
                  {next !== undefined && <Button size="small" onClick={() => void readMore()}>Show older ones</Button>}
                </div>
              </>
            )
          }
        </Loaded>
      </section>
    </div>
  );
}
