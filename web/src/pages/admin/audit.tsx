// The audit log: newest first, searched in what was read; and whether its chain is whole.
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { State } from '../../components/lamp';
import { SearchBox } from '../../components/field';
import { EmptyState, ErrorNote, Note, Skeleton } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api, asApiError, isAbort, saveFile, type ApiError } from '../../api/client';
import type { AuditCheck, AuditEntry } from '../../api/shapes';
import type { List } from '../../api/types';
import { csv } from '../../model/csv';
import { useAction } from '../../state/resource';
import { usePageTitle } from '../../state/title';
import { number, plural, utc } from '../../text/format';
import { PageHead } from '../head';

const PAGE = 500;

const isFine = (result: string) => result === 'ok' || /^2\d\d/.test(result);

const columns: Column<AuditEntry>[] = [
  { key: 'at', title: 'Time', render: (row) => <Time at={row.at} as="moment" /> },
  { key: 'actor', title: 'Who', render: (row) => <b class="medium">{row.actor || '–'}</b> },
  { key: 'remote', title: 'From', render: (row) => <span class="mono">{row.remote || '–'}</span> },
  { key: 'action', title: 'Did', render: (row) => <span class="mono small">{row.action}</span> },
  { key: 'object', title: 'On', render: (row) => row.object || <span class="dim">–</span> },
  { key: 'result', title: 'Result', render: (row) => <State state={isFine(row.result) ? 'up' : 'down'} plain={isFine(row.result)}>{row.result}</State> },
  { key: 'detail', title: 'Detail', render: (row) => <span title={row.detail}>{row.detail}</span> },
];

function useLog() {
  const [state, setState] = useState<{ items: AuditEntry[]; next: string | undefined; error: ApiError | null; loading: boolean }>(
    { items: [], next: undefined, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  const read = async (after: string | undefined, signal?: AbortSignal) => {
    setState((old) => ({ ...old, loading: true }));
    try {
      const page = await api.get<List<AuditEntry>>('/audit', { query: { limit: PAGE, after }, ...(signal ? { signal } : {}) });
      setState((old) => ({ items: after === undefined ? page.items : [...old.items, ...page.items], next: page.next, error: null, loading: false }));
    } catch (error) {
      if (!isAbort(error)) setState((old) => ({ ...old, error: asApiError(error), loading: false }));
    }
  };
  useEffect(() => {
    const abort = new AbortController();
    void read(undefined, abort.signal);
    return () => abort.abort();
  }, [turn]);
  return { ...state, more: () => { if (state.next !== undefined && !state.loading) void read(state.next); }, reload: () => setTurn((n) => n + 1) };
}

function Check() {
  const action = useAction();
  const [check, setCheck] = useState<AuditCheck | null>(null);
  const run = () => void action.run(async () => setCheck(await api.get<AuditCheck>('/audit/verify', { timeout: 120000 })));
  return (
    <>
      <Button icon="check" busy={action.busy} onClick={run}>Verify the chain</Button>
      {action.error && <ErrorNote error={action.error} title="The log was not verified." />}
      {check && (
        <Note state={check.is_whole ? 'up' : 'down'} role="status" title={check.is_whole ? `All ${number(check.entries)} entries are whole.` : `The chain is broken at entry ${check.broken_at}.`}>
          <p>{check.is_whole ? 'Last hash' : 'Somebody has changed or removed entries in the database. Last good hash'}: <span class="mono small">{check.hash}</span></p>
        </Note>
      )}
    </>
  );
}

export default function Audit() {
  usePageTitle('Audit log');
  const [text, setText] = useState('');
  const log = useLog();
  const wanted = text.trim().toLowerCase();
  const shown = wanted === '' ? log.items
    : log.items.filter((row) => [row.actor, row.remote, row.action, row.object, row.detail, row.result].some((one) => one.toLowerCase().includes(wanted)));
  const save = () => saveFile(new Blob([csv(['time', 'who', 'from', 'action', 'object', 'result', 'detail'],
    shown.map((row) => [utc(row.at), row.actor, row.remote, row.action, row.object, row.result, row.detail]))], { type: 'text/csv' }), 'audit.csv');
  return (
    <div class="fill">
      <PageHead title="Audit log" up={[{ text: 'Admin', href: '/admin' }]} note="Every change, every refusal, every wrong login. Each entry holds the hash of the one before.">
        <Button icon="download" onClick={save}>Save as CSV</Button>
        <Check />
      </PageHead>
      <section class="card table-card" aria-label="Entries">
        <div class="tools">
          <SearchBox class="table-search" label="Who, what, on which object" value={text} onInput={setText} />
          <span class="table-count" role="status">{wanted === '' ? plural(log.items.length, 'entry', 'entries') : `${number(shown.length)} of ${number(log.items.length)}`} read</span>
          {log.next !== undefined && <Button size="small" busy={log.loading} onClick={log.more}>Read older ones</Button>}
          <Button size="small" icon="again" onClick={log.reload}>Read again</Button>
        </div>
        {log.error && <ErrorNote error={log.error} title="The log could not be read." onRetry={log.reload} />}
        {shown.length > 0 ? <Table label="Audit log" keys columns={columns} rows={shown} rowKey={(row) => row.id} virtual
          total={shown.length + (log.next !== undefined && wanted === '' ? 1 : 0)} onMore={log.more} />
          : log.loading ? <Skeleton lines={8} label="Loading: audit log" />
            : !log.error && <EmptyState icon="filter" title={`Nothing contains “${text.trim()}”`} actions={<Button onClick={() => setText('')}>Clear the search</Button>}>
                Older entries may: read them, too.
              </EmptyState>}
      </section>
    </div>
  );
}
