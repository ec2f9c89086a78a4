// Dashboard: the selected branch in four tiles, and its gateways in threshold columns.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { MenuButton } from '../../components/menu';
import { PageHead } from '../head';
import { EmptyState, ErrorNote, Note, Skeleton } from '../../components/states';
import { api } from '../../api/client';
import type { DashboardRow, Summary } from '../../api/shapes';
import { nextSort, readSort, writeSort } from '../../model/dashboard';
import { chips, isEmpty, noFilter, readFilter, without, words, writeFilter, type Filter } from '../../model/filters';
import { openAcemanager } from '../../state/acts';
import { say } from '../../state/messages';
import { now } from '../../state/now';
import { preferences, setPreferences } from '../../state/preferences';
import { useAction, useResource } from '../../state/resource';
import { query as place, setQuery } from '../../state/router';
import { scopeName } from '../../state/scope';
import { usePageTitle } from '../../state/title';
import { mayIn, scopeBranch } from '../rights';
import { useShortcut } from '../../state/shortcuts';
import { plural, zone } from '../../text/format';
import { ColumnChooser, FilterBar } from './filter-bar';
import { useRows, type Rows } from './rows';
import { DashboardTable } from './table';
import { Tiles } from './tiles';

function hiddenColumns(): ReadonlySet<string> {
  const list = preferences.value.columns['hidden'];
  return new Set(Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : []);
}

/** What is typed is asked for when the fingers rest. */
function useCalm(text: string, ms: number): string {
  const [calm, setCalm] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return calm;
}

function ExportButton({ filter }: { filter: Filter }) {
  const action = useAction();
  const get = (kind: 'csv' | 'xlsx') => void action.run(async () => {
    await api.download(`/export.${kind}`, `gateways.${kind}`, { query: { ...scopeBranch(), ...writeFilter(filter) } });
    say('up', 'Export saved');
  });
  return (
    <>
      <MenuButton icon="download" menu="Export" busy={action.busy} items={() => [
        { text: 'As XLSX', hint: 'for spreadsheet programs', run: () => get('xlsx') },
        { text: 'As CSV', hint: 'for programs', run: () => get('csv') },
      ]}>Export</MenuButton>
      {action.error && <ErrorNote error={action.error} title="The export was not made." />}
    </>
  );
}

function Nothing({ filter, rows, onChange }: { filter: Filter; rows: Rows; onChange: (filter: Filter) => void }) {
  const canAdd = mayIn('admin', scopeBranch());
  if (isEmpty(filter)) {
    return (
      <EmptyState icon="gateway" title={canAdd ? 'Add the first gateway' : 'No gateways here'} actions={canAdd && (
        <>
          <Button kind="primary" href="/add">Make a token</Button>
          <Button href="/add?kind=openvpn">Connection file</Button>
          <a href="/admin/imports">Many at once: spreadsheet upload</a>
        </>
      )}>
        {canAdd ? 'A gateway of ours needs a token. Any other router needs a connection file.'
          : `${scopeName.value} holds none. Choose another branch in the tree.`}
      </EmptyState>
    );
  }
  const set = chips(filter);
  const last = set[set.length - 1];
  return (
    <EmptyState icon="filter" title={`Nothing matches in ${scopeName.value}`} actions={
      <>
        {last && <Button onClick={() => onChange(without(filter, last.name))}>Remove “{last.text}”</Button>}
        {filter.text !== '' && <Button onClick={() => onChange({ ...filter, text: '' })}>Clear the search</Button>}
        <Button kind="quiet" onClick={() => onChange(noFilter)}>Clear all</Button>
      </>
    }>
      {words(filter)}. {rows.total === 0 && 'Without the last one there may be more.'}
    </EmptyState>
  );
}

export default function Dashboard() {
  usePageTitle('Dashboard');
  const filter = readFilter(place.value);
  const sort = readSort(place.value);
  const text = useCalm(filter.text, 250);
  const { tenant, group } = scopeBranch() ?? { tenant: null, group: null };
  const branch = useMemo(() => (tenant === null || group === null ? null : { tenant, group }), [tenant, group]);
  const [isChoosing, setChoosing] = useState(false);
  const active = useRef<DashboardRow | null>(null);
  const hidden = useMemo(hiddenColumns, [preferences.value]);
  const rows = useRows(branch && { ...branch, ...writeFilter({ ...filter, text: text.trim() }), sort: sort.by, order: sort.descending ? 'desc' : 'asc' });
  const summary = useResource<Summary>(
    branch && `summary ${branch.tenant} ${branch.group}`,
    (signal) => api.get('/dashboard/summary', { query: { ...branch }, signal }),
    (event) => ['gateway', 'tunnel', 'group', 'operation'].includes(event.kind),
  );
  const change = useCallback((next: Filter) => {
    const given = writeFilter(next);
    setQuery(Object.fromEntries(Object.keys(next).map((name) => [name, given[name] ?? null])));
  }, []);
  const sortBy = (by: string) => {
    setQuery({ ...writeSort(nextSort(sort, by)) });
  };
  useShortcut('o', 'ACEmanager of the row', () => active.current && openAcemanager(active.current.gateway.id));

  const canAdd = mayIn('admin', scopeBranch());
  const count = summary.data?.gateways;
  const isNothing = !rows.loading && !rows.error && rows.rows.length === 0;
  return (
    <div class="fill">
      <PageHead title={scopeName.value} note={count === undefined ? '' : plural(count, 'gateway')}>
        <ExportButton filter={filter} />
        {canAdd && <Button icon="upload" href="/admin/imports">Spreadsheet upload</Button>}
        {canAdd && <Button kind="primary" icon="plus" href="/add">Add gateway</Button>}
      </PageHead>
      {summary.error && !summary.data
        ? <ErrorNote error={summary.error} title="The tiles could not be read." onRetry={summary.reload} />
        : <Tiles summary={summary.data} scope={{ ...branch }} name={scopeName.value} />}
      {isChoosing && (
        <ColumnChooser columns={rows.columns} hidden={hidden} onClose={() => setChoosing(false)}
          onChange={(next) => setPreferences({ columns: { ...preferences.value.columns, hidden: [...next] } })} />
      )}
      <section class="card table-card" aria-label="Gateways">
        <FilterBar filter={filter} onChange={change} shown={rows.total} of={count} onColumns={() => setChoosing(true)}
          canAdd={canAdd} addHref={`/thresholds?add=1${group === null ? '' : `&group=${group}`}`} />
        {rows.moved && (
          <Note state="info" role="status" title="The order has changed."
            action={<Button size="small" onClick={rows.reload}>Sort again</Button>} />
        )}
        {rows.error && <ErrorNote error={rows.error} title="The gateways could not be read." onRetry={rows.reload} />}
        {isNothing ? <Nothing filter={filter} rows={rows} onChange={change} />
          : rows.loading && rows.rows.length === 0 ? <Skeleton lines={10} label="Loading: gateways" />
            : <DashboardTable rows={rows} hidden={hidden} sort={sort} onSort={sortBy} label={`Gateways of ${scopeName.value}`}
                onActive={(row) => { active.current = row; }} />}
        <div class="table-foot">
          <span>Times in your zone, {zone(now.value)}. Hover for UTC</span>
          {preferences.value.keys && (
            <span class="shortcut-keys"><kbd>j</kbd> <kbd>k</kbd> move <kbd>o</kbd> ACEmanager <kbd>?</kbd> all keys</span>
          )}
        </div>
      </section>
    </div>
  );
}
