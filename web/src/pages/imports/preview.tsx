// What each row of a sheet would do, with what is wrong in it; the places per port before and after; and applying.
import type { ComponentChildren } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { Checkbox } from '../../components/field';
import { Lamp, State } from '../../components/lamp';
import { EmptyState, ErrorNote, Note, Skeleton } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { api } from '../../api/client';
import type { Import, ImportColumn, ImportPort, ImportRow } from '../../api/shapes';
import {
  applyFault, columnTitle, difference, freeAfter, knowledge, outcome, rowsToApply, verdictView,
} from '../../model/sheet';
import { announce, say } from '../../state/messages';
import { useAction } from '../../state/resource';
import { useShortcut } from '../../state/shortcuts';
import { number, plural } from '../../text/format';
import { useSheetRows } from './rows';

// ---- rows ----

function Difference({ cell }: { cell: ImportRow['cells'][number] | undefined }) {
  if (!cell) return <span class="dim">·</span>;
  const { old, text, isBad } = difference(cell);
  if (isBad) return <span class="wrong">{text === '' ? 'empty' : text}</span>;
  return (
    <>
      {old !== null && <><del>{old}</del> <span class="dim" aria-hidden="true">→</span> </>}
      <ins>{text}</ins>
    </>
  );
}

function Knowledge({ row }: { row: ImportRow }) {
  const all = knowledge(row);
  if (all.length === 0) return null;
  const plain = all.map((one) => (one.place ? `${one.place}: ${one.text}` : one.text)).join(' ');
  return (
    <span class="two-lines" title={plain}>
      {all.map((one, i) => (
        <span key={i}>{one.place && <b class="medium">{one.place}: </b>}{one.text} </span>
      ))}
    </span>
  );
}

/** Of a gateway that is not known yet: what the sheet calls it. */
function GatewayName({ sheet, row, tab }: { sheet: Import; row: ImportRow; tab: number }) {
  if (row.gateway) return <a class="strong-link" tabIndex={tab} href={`/gateways/${row.gateway}`} title={row.serial}>{row.name}</a>;
  const told = sheet.columns.filter((one) => one.target === 'serial' || one.target === 'name').map((one) => row.cells.find((cell) => cell.column === one.column));
  const wrong = told.find((cell) => cell?.error);
  if (wrong) return <Difference cell={wrong} />;
  return <span class="mono">{told.find((cell) => cell?.new)?.new ?? '–'}</span>;
}

const isIdentity = (column: ImportColumn) => ['serial', 'name', 'ignore', ''].includes(column.target);

const outcomeColumn: Column<ImportRow> = {
  key: 'outcome',
  title: 'Outcome',
  render: (row) => {
    const view = outcome(row);
    return view ? <State state={view.lamp} plain>{view.text}</State> : <span class="dim">–</span>;
  },
};

function columnsOf(sheet: Import): Column<ImportRow>[] {
  const used = sheet.columns.filter((column) => !isIdentity(column));
  return [
    { key: 'row', title: 'Row', align: 'end', width: '3.5rem', render: (row) => <span class="dim">{row.row}</span> },
    { key: 'verdict', title: 'Verdict', width: '7rem', render: (row) => {
      const view = verdictView(row.verdict);
      return <State state={view.lamp}>{view.text}</State>;
    } },
    ...(sheet.state === 'ready' ? [] : [outcomeColumn]),
    { key: 'gateway', title: 'Gateway', render: (row, tab) => <GatewayName sheet={sheet} row={row} tab={tab} /> },
    ...used.map((column): Column<ImportRow> => ({
      key: column.column,
      title: columnTitle(column),
      hint: `Column ${column.column}${column.name ? `: ${column.name}` : ''}`,
      ...(column.target === '10034' ? { align: 'end' as const } : {}),
      render: (row) => <Difference cell={row.cells.find((cell) => cell.column === column.column)} />,
    })),
    { key: 'know', title: 'What to know', width: '22rem', render: (row) => <Knowledge row={row} /> },
  ];
}

const tabs: { verdict: string; text: string; count: (sheet: Import) => number }[] = [
  { verdict: 'all', text: 'All rows', count: (sheet) => sheet.rows.total },
  { verdict: 'change', text: 'Change', count: (sheet) => sheet.rows.change },
  { verdict: 'new', text: 'New', count: (sheet) => sheet.rows.new },
  { verdict: 'same', text: 'No change', count: (sheet) => sheet.rows.unchanged },
  { verdict: 'check', text: 'Check', count: (sheet) => sheet.rows.check },
  { verdict: 'bad', text: 'Refused', count: (sheet) => sheet.rows.bad },
];

function Tabs({ sheet, now, onChange }: { sheet: Import; now: string; onChange: (verdict: string) => void }) {
  return (
    <div class="verdicts" role="group" aria-label="Rows by verdict">
      {tabs.map((tab) => (
        <button key={tab.verdict} type="button" class="verdict-tab" aria-pressed={tab.verdict === now} onClick={() => onChange(tab.verdict)}>
          {tab.verdict !== 'all' && <Lamp state={verdictView(tab.verdict).lamp} size="small" />}
          {tab.text} <b>{number(tab.count(sheet))}</b>
        </button>
      ))}
    </div>
  );
}

function Rows({ sheet, end }: { sheet: Import; end?: ComponentChildren }) {
  const [verdict, setVerdict] = useState('all');
  const [active, setActive] = useState(0);
  const jump = useRef<((index: number) => void) | null>(null);
  const version = `${sheet.changed_at} ${sheet.state === 'ready' ? '' : sheet.phase}`;
  const rows = useSheetRows(sheet.id, verdict, version);
  const columns = useMemo(() => columnsOf(sheet), [sheet.columns, sheet.state]);
  const nextBad = () => {
    const list = rows.rows;
    const after = list.findIndex((row, index) => index > active && row.verdict === 'bad');
    const found = after >= 0 ? after : list.findIndex((row) => row.verdict === 'bad');
    const row = list[found];
    if (!row) return announce('No row is refused');
    jump.current?.(found);
    announce(`Row ${row.row}: ${knowledge(row).map((one) => `${one.place}: ${one.text}`).join(' ')}`);
  };
  useShortcut('n', 'Next refused row', nextBad, sheet.rows.bad > 0);
  const total = tabs.find((tab) => tab.verdict === verdict)?.count(sheet) ?? 0;
  return (
    <Card title={sheet.filename} more={`${plural(sheet.rows.total, 'row')}, ${sheet.columns.filter((one) => one.target !== 'ignore').length} of ${
      plural(sheet.columns.length, 'column')} used`} end={end} flush class="sheet-card" footer={
      <>
        <span class="grow" role="status">{rows.loading ? `${number(rows.rows.length)} of ${number(total)} read` : plural(total, 'row')}</span>
        {sheet.rows.bad > 0 && <Button kind="quiet" size="small" onClick={nextBad}><kbd>n</kbd> next refused row</Button>}
        <ResultButton sheet={sheet} />
      </>
    }>
      <Tabs sheet={sheet} now={verdict} onChange={(next) => { setVerdict(next); setActive(0); }} />
      {rows.error && <ErrorNote error={rows.error} title="The rows could not be read." onRetry={rows.reload} />}
      {rows.rows.length > 0
        ? <Table label="Rows of the sheet" columns={columns} rows={rows.rows} rowKey={(row) => String(row.row)} virtual tall keys total={total}
            selected={(row) => rows.rows[active] === row} jump={jump}
            onActive={(row) => setActive(row ? rows.rows.indexOf(row) : 0)} />
        : rows.loading ? <Skeleton lines={8} label="Loading: rows" />
          : !rows.error && <EmptyState icon="filter" title="No row has this verdict" actions={<Button onClick={() => setVerdict('all')}>Show all rows</Button>} />}
    </Card>
  );
}

export function ResultButton({ sheet }: { sheet: Import }) {
  const action = useAction();
  const get = () => void action.run(() => api.download(`/imports/${sheet.id}/result.csv`, `${sheet.filename.replace(/\.\w+$/, '')}-result.csv`));
  return (
    <>
      <Button kind="row" icon="download" busy={action.busy} onClick={get}>Download result file</Button>
      {action.error && <span class="field-error">{action.error.message}</span>}
    </>
  );
}

// ---- places ----

function Places({ sheet }: { sheet: Import }) {
  const columns: Column<ImportPort>[] = [
    { key: 'port', title: 'Port', render: (port) => <b class="medium">{port.port}</b> },
    { key: 'now', title: 'Now', align: 'end', render: (port) => number(port.now) },
    { key: 'out', title: 'Out', align: 'end', render: (port) => (port.out > 0 ? `\u2212${number(port.out)}` : '0') },
    { key: 'in', title: 'In', align: 'end', render: (port) => (port.in > 0 ? `+${number(port.in)}` : '0') },
    { key: 'after', title: 'Then', align: 'end', render: (port) => <b class="medium">{number(port.after)}</b> },
    { key: 'free', title: 'Free', align: 'end', render: (port) => {
      const free = freeAfter(port);
      if (free < 0) return <span class="met down"><Lamp state="down" size="tiny" />{number(free)}</span>;
      return free < 20 ? <span class="met degraded"><Lamp state="degraded" size="tiny" />{number(free)}</span> : number(free);
    } },
  ];
  const over = sheet.ports.filter((port) => freeAfter(port) < 0);
  return (
    <Card title="Tunnel places after this sheet" flush>
      <Table label="Places per port" columns={columns} rows={sheet.ports} rowKey={(port) => String(port.port)} />
      <p class="card-note">
        {over.length > 0 ? `Port ${over.map((port) => port.port).join(', ')} would not hold that many: the rows that go there are refused. Give some of them another port.`
          : 'Your gateways, and what is free for you.'}
      </p>
    </Card>
  );
}

// ---- applying ----

function Choice(props: { name: string; checked: boolean; off?: boolean; title: string; note: string; onChange: () => void }) {
  const id = `${props.name}-${props.title.split(' ')[0]?.toLowerCase()}`;
  return (
    <div class="check">
      <input type="radio" id={id} name={props.name} checked={props.checked} disabled={props.off} aria-describedby={`${id}-note`} onChange={props.onChange} />
      <label for={id}>{props.title}</label>
      <p class="hint" id={`${id}-note`}>{props.note}</p>
    </div>
  );
}

function leftOut(sheet: Import): string {
  const parts = [];
  if (sheet.rows.bad > 0) parts.push(plural(sheet.rows.bad, 'refused row'));
  if (sheet.rows.unchanged > 0) parts.push(`${number(sheet.rows.unchanged)} without change`);
  return parts.length === 0 ? 'No row is left out.' : `${parts.join(' and ')} ${sheet.rows.bad + sheet.rows.unchanged === 1 ? 'is' : 'are'} left out.`;
}

function Apply({ sheet, onSheet }: { sheet: Import; onSheet: (sheet: Import) => void }) {
  const [onlyGood, setOnlyGood] = useState(true);
  const [create, setCreate] = useState(sheet.rows.new > 0);
  const action = useAction();
  const count = rowsToApply(sheet, create);
  const fault = applyFault(sheet, onlyGood, create);
  const moves = sheet.ports.reduce((sum, port) => sum + port.in, 0);
  const apply = () => void action.run(async () => {
    onSheet(await api.post<Import>(`/imports/${sheet.id}/apply`, { only_good: onlyGood, create_unknown: create }));
    say('pending', `${plural(count, 'row is', 'rows are')} being applied. You can leave this page.`);
  });
  return (
    <Card title="Apply">
      <div class="stack">
        <Choice name="rows" title={`Only good rows, ${number(sheet.rows.good)}`} checked={onlyGood} note={leftOut(sheet)} onChange={() => setOnlyGood(true)} />
        <Choice name="rows" title="All rows or none" checked={!onlyGood} off={sheet.rows.bad > 0}
          note={sheet.rows.bad > 0 ? `Not possible while ${plural(sheet.rows.bad, 'row is', 'rows are')} refused.` : 'If one row cannot be done, none is.'}
          onChange={() => setOnlyGood(false)} />
        {sheet.rows.new > 0 && (
          <Checkbox label={`Create ${plural(sheet.rows.new, 'gateway')}`} hint="Their serials are not known yet. Pending (device registration) until the first check-in."
            checked={create} onChange={setCreate} />
        )}
        {moves > 0 && (
          <Note state="info" title={`Moves go in steps: 1, then 10, then 5\u202f% at a time.`}>
            <p>The next step starts when 95{'\u202f'}% are back. {plural(moves, 'gateway changes', 'gateways change')} port or get one.</p>
          </Note>
        )}
        {action.error && <ErrorNote error={action.error} title="The sheet was not applied." />}
        <div class="row between">
          <Button href="/admin/imports">Leave it</Button>
          <Button kind="primary" busy={action.busy} why={fault ?? undefined} onClick={apply}>{`Apply ${plural(count, 'row')}`}</Button>
        </div>
        <p class="dim small">{fault ?? 'Can be undone for 30 days.'}</p>
      </div>
    </Card>
  );
}

export function Preview({ sheet, onSheet, onColumns }: { sheet: Import; onSheet: (sheet: Import) => void; onColumns: () => void }) {
  return (
    <div class="sheet-layout">
      <Rows sheet={sheet} end={<Button kind="row" icon="columns" onClick={onColumns}>Change columns</Button>} />
      <div class="stack-sections">
        {sheet.ports.length > 0 && <Places sheet={sheet} />}
        <Apply sheet={sheet} onSheet={onSheet} />
      </div>
    </div>
  );
}

/** Of a sheet that was applied: the same rows, with what became of them. */
export function AppliedRows({ sheet }: { sheet: Import }) {
  return <Rows sheet={sheet} />;
}
