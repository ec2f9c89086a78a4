// Spreadsheet upload: a new sheet, and those that were uploaded before, running ones first.
import { Card } from '../../components/card';
import { State } from '../../components/lamp';
import { Bar } from '../../components/progress';
import { EmptyState, Loaded } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { Import } from '../../api/shapes';
import { isRunning, progressOf, share, stateView } from '../../model/sheet';
import { tenant } from '../../state/fleet';
import { useResource } from '../../state/resource';
import { navigate } from '../../state/router';
import { usePageTitle } from '../../state/title';
import { number } from '../../text/format';
import { PageHead } from '../head';
import { Upload } from './upload';

const columns: Column<Import>[] = [
  { key: 'file', title: 'File', pin: 'start', render: (row, tab) => (
    <a href={`/admin/imports/${row.id}`} tabIndex={tab} class="strong-link" title={row.filename}>{row.filename}</a>) },
  { key: 'state', title: 'State', render: (row) => <StateCell sheet={row} /> },
  { key: 'rows', title: 'Rows', align: 'end', render: (row) => number(row.rows.total) },
  { key: 'applied', title: 'Applied', align: 'end', render: (row) => number(row.rows.applied) },
  { key: 'bad', title: 'Refused', align: 'end', render: (row) => number(row.rows.bad) },
  { key: 'by', title: 'By', render: (row) => row.by },
  { key: 'at', title: 'Uploaded', align: 'end', render: (row) => <Time at={row.at} as="moment" /> },
];

function StateCell({ sheet }: { sheet: Import }) {
  const view = stateView(sheet.state);
  return (
    <span class="state-cell">
      <State state={view.lamp} plain>{view.text}</State>
      {isRunning(sheet.state) && <Bar thin isProgress label={view.text} parts={[{ share: share(progressOf(sheet)), state: 'pending' }]} />}
    </span>
  );
}

/** Only the objects that the tenant has; the newest first. */
function sorted(list: Import[]): Import[] {
  return [...list].sort((a, b) => Number(isRunning(b.state)) - Number(isRunning(a.state)) || b.at - a.at);
}

export default function Imports() {
  usePageTitle('Spreadsheet upload');
  const id = tenant.value?.id;
  const list = useResource<Import[]>(
    id === undefined ? null : `imports ${id}`,
    (signal) => api.all<Import>('/imports', { query: { tenant: id }, signal }),
    (event) => event.kind === 'import',
  );
  return (
    <>
      <PageHead title="Spreadsheet upload" up={[{ text: 'Admin', href: '/admin' }]}
        note="Adds gateways, changes their settings, and moves them between ports, many at once." />
      <div class="stack-sections">
        <Upload tenant={id} />
        <Card title="Uploads" flush>
          <Loaded resource={list} what="Uploads">
            {(all) => all.length === 0
              ? <EmptyState icon="upload" title="No sheet was uploaded yet">
                  An export of the dashboard is a good start: change it, and upload it again. Nothing happens before you have seen
                  what each row would do.
                </EmptyState>
              : <Table label="Uploads" keys columns={columns} rows={sorted(all)} rowKey={(row) => row.id}
                  onOpen={(row) => navigate(`/admin/imports/${row.id}`)} />}
          </Loaded>
        </Card>
      </div>
    </>
  );
}
