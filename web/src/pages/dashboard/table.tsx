// The threshold columns: one row a gateway, dashboard groups from left to right.
import { Button } from '../../components/button';
import { GatewayLamps, Lamp } from '../../components/lamp';
import { Table, type Column } from '../../components/table';
import type { Cell, DashboardRow, Threshold } from '../../api/shapes';
import type { GatewayCompact, LampState } from '../../api/types';
import { cellView, cellWords, columnGroups, columnHelp, isNumericColumn, sortKey, type Sort } from '../../model/dashboard';
import { openAcemanager } from '../../state/acts';
import { navigate } from '../../state/router';
import { mayIn } from '../rights';
import type { Rows } from './rows';

const unsaid = new Set(['–', 'never', 'never joined', 'resting']);

/** A value in a column; tinted, with shape and word, when it meets a condition. */
export function ThresholdValue({ column, cell, tunnel }: { column: Threshold; cell: Cell | undefined; tunnel: LampState }) {
  const view = cellView(column, cell, tunnel);
  if (!view.lamp) return unsaid.has(view.text) ? <span class="dim">{view.text}</span> : <>{view.text}</>;
  return (
    <span class={`met ${view.lamp}`}>
      <Lamp state={view.lamp} size="tiny" />
      <span class="vh">{cellWords(view)}: </span>
      {view.text}
    </span>
  );
}

function nameColumn(sort: Sort): Column<DashboardRow> {
  return {
    key: 'name',
    title: sort.by === 'worst' ? 'Gateway, worst first' : 'Gateway',
    hint: 'Sort by name',
    pin: 'start',
    sortable: true,
    width: '13rem',
    render: ({ gateway }, tab) => (
      <span class="gateway-cell">
        <GatewayLamps lamps={gateway.lamps} />
        <a class="gateway-name" href={`/gateways/${gateway.id}`} tabIndex={tab} title={gateway.label && gateway.label !== gateway.name ? `${gateway.name} (${gateway.label})` : gateway.name}>
          {gateway.name}
        </a>
      </span>
    ),
  };
}

function thresholdColumns(columns: Threshold[], hidden: ReadonlySet<string>): Column<DashboardRow>[] {
  const place = new Map(columns.map((column, index) => [column.id, index]));
  return columnGroups(columns, hidden).flatMap((group) =>
    group.columns.map((column) => {
      const isNumber = isNumericColumn(column);
      return {
        key: column.id,
        title: column.label,
        hint: columnHelp(column),
        group: group.units === '' ? `Group ${group.number}` : `Group ${group.number}, ${group.units}`,
        sortable: true,
        ...(isNumber ? { align: 'end' as const } : {}),
        render: (row: DashboardRow) => <ThresholdValue column={column} cell={row.cells[place.get(column.id) ?? -1]} tunnel={row.gateway.lamps.tunnel} />,
      };
    }),
  );
}

/** Why it cannot be opened; undefined: it can. A tunnel that is down is brought up first. */
function whyNot(gateway: GatewayCompact): string | undefined {
  return mayIn('operate', gateway) ? undefined : 'You may only look here. An administrator of the branch can give you the role operator.';
}

function AceButton({ gateway, tab }: { gateway: GatewayCompact; tab: number }) {
  const isUp = gateway.lamps.tunnel === 'up' || gateway.lamps.tunnel === 'degraded';
  return (
    <span title={isUp ? undefined : 'Brings the tunnel up first'}>
      <Button kind="row" icon={isUp ? 'out' : 'tunnel'} tabIndex={tab} why={whyNot(gateway)} onClick={() => openAcemanager(gateway.id)}>
        ACEmanager
      </Button>
    </span>
  );
}

const aceColumn: Column<DashboardRow> = {
  key: 'ace',
  title: <span class="vh">Web page</span>,
  pin: 'end',
  width: '7.5rem',
  render: ({ gateway }, tab) => <AceButton gateway={gateway} tab={tab} />,
};

export function DashboardTable(props: {
  rows: Rows;
  hidden: ReadonlySet<string>;
  sort: Sort;
  onSort: (by: string) => void;
  onActive: (row: DashboardRow | null) => void;
  label: string;
}) {
  const { rows, sort } = props;
  const sorted = rows.columns.find((column) => sortKey(column) === sort.by);
  const sortBy = (key: string) => {
    const column = rows.columns.find((one) => one.id === key);
    props.onSort(column ? sortKey(column) : key);
  };
  const columns = [nameColumn(sort), ...thresholdColumns(rows.columns, props.hidden), aceColumn];
  return (
    <Table
      label={props.label}
      columns={columns}
      rows={rows.rows}
      rowKey={(row) => row.gateway.id}
      virtual
      keys
      total={rows.total}
      onRange={rows.look}
      busy={rows.loading}
      {...(sort.by === 'worst' ? {} : { sort: { key: sorted?.id ?? sort.by, descending: sort.descending } })}
      onSort={sortBy}
      onOpen={(row) => navigate(`/gateways/${row.gateway.id}`)}
      onActive={props.onActive}
    />
  );
}
