// What the dashboard shows of its data: column groups, texts of cells, shares of the tiles, rows that change under
// the reader.
import type { Cell, CellState, DashboardRow, Summary, Threshold } from '../api/shapes';
import type { LampState } from '../api/types';
import { duration, number, withUnit } from '../text/format';

// ---- columns ----

export interface ColumnGroup {
  number: number;
  units: string; // "dBm and dB"; "" if none has one
  columns: Threshold[];
}

/** Left to right by dashboard group, order, id; without those that the reader has hidden. */
export function columnGroups(columns: Threshold[], hidden: ReadonlySet<string>): ColumnGroup[] {
  const shown = columns.filter((column) => !hidden.has(column.label)).sort(byPlace);
  const groups: ColumnGroup[] = [];
  for (const column of shown) {
    let group = groups[groups.length - 1];
    if (!group || group.number !== column.dashboard_group) {
      group = { number: column.dashboard_group, units: '', columns: [] };
      groups.push(group);
    }
    group.columns.push(column);
  }
  for (const group of groups) {
    group.units = [...new Set(group.columns.map((column) => column.unit).filter(Boolean))].join(' and ');
  }
  return groups;
}

export function byPlace(a: Threshold, b: Threshold): number {
  return a.dashboard_group - b.dashboard_group || a.order - b.order || Number(a.id) - Number(b.id);
}

const namesOfStats: Record<string, string> = {
  'ManagementTunnel-IPAddress': 'address of the tunnel, while it is up',
  Heartbeat: 'time since the last check-in',
  ConfigurationState: 'state of the settings',
};

/** What the head of a column says on hover. */
export function columnHelp(column: Threshold): string {
  const stat = column.stat_label ? `${column.stat}/${column.stat_label}` : column.stat;
  const parts = [namesOfStats[column.stat] ? `${stat}: ${namesOfStats[column.stat]}` : stat];
  if (column.warning) parts.push(`warning ${conditionWords(column.warning, column.unit, column.stat)}`);
  if (column.error) parts.push(`error ${conditionWords(column.error, column.unit, column.stat)}`);
  return parts.join('; ');
}

const operators: Record<string, string> = {
  lt: 'below', le: 'at or below', gt: 'above', ge: 'at or above', eq: 'is', ne: 'is not', matches: 'matches',
};

/** "below −110 dBm", "above 45 min" of an age, "missing". */
export function conditionWords(condition: { op: string; value?: string | number } | null, unit = '', stat = ''): string {
  if (!condition) return 'never';
  if (condition.op === 'missing' || condition.op === 'present') return condition.op;
  const { value } = condition;
  const isNumber = isNumeric(value) && condition.op !== 'matches';
  const text = isNumber && stat === 'Heartbeat' ? duration(Number(value))
    : isNumber ? withUnit(Number(value), unit, 3) : String(value ?? '');
  return `${operators[condition.op] ?? condition.op} ${text}`;
}

export function isNumeric(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)));
}

function valueText(value: string | number | boolean | null): string {
  if (value === null || value === '') return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  return number(value, Math.abs(value) < 100 ? 1 : 0);
}

export interface CellView {
  text: string;
  state: CellState;
  lamp: LampState | null; // the shape beside a value that is met
  right: boolean; // numbers and times
}

const tunnelTexts: Partial<Record<LampState, string>> = { down: 'down', resting: 'resting', unknown: 'never joined', pending: 'moving' };

/** Heartbeat is a time; numbers stand right; a missing value is a dash. */
export function cellView(column: Threshold, cell: Cell | undefined, tunnel: LampState = 'unknown'): CellView {
  const state = cell?.state ?? 'none';
  const lamp = state === 'warning' ? 'degraded' : state === 'error' ? 'down' : null;
  const value = cell?.value ?? null;
  if (column.stat === 'Heartbeat') {
    const seconds = isNumeric(value) ? Number(value) : null;
    return { text: seconds === null ? 'never' : duration(roundAge(seconds)), state, lamp, right: true };
  }
  if (column.stat === 'ManagementTunnel-IPAddress' && (value === null || value === '')) {
    return { text: tunnelTexts[tunnel] ?? '–', state, lamp, right: false };
  }
  return { text: valueText(value), state, lamp, right: isNumericColumn(column, value) };
}

/** Ages are looked at, not measured: whole minutes below an hour. */
function roundAge(seconds: number): number {
  return seconds < 60 || seconds >= 3600 ? seconds : Math.floor(seconds / 60) * 60;
}

/** A column of numbers stays right-aligned where a value is missing. */
export function isNumericColumn(column: Threshold, value: unknown = null): boolean {
  if (column.stat === 'Heartbeat' || column.stat === 'ManagementTunnel-Port' || column.unit !== '') return true;
  if (value !== null && value !== '') return typeof value === 'number';
  return isNumeric(column.warning?.value) || isNumeric(column.error?.value);
}

/** For those who do not see the colour. */
export function cellWords(view: CellView): string {
  return view.state === 'error' ? 'error' : view.state === 'warning' ? 'warning' : '';
}

// ---- rows that change while they are read ----

/** The new values in the places of the old ones; and whether the server would order them otherwise now. */
export function merge(rows: DashboardRow[], fresh: DashboardRow[]): { rows: DashboardRow[]; moved: boolean } {
  const byId = new Map(fresh.map((row) => [row.gateway.id, row]));
  const merged = rows.map((row) => byId.get(row.gateway.id) ?? row);
  const known = new Map(rows.map((row, index) => [row.gateway.id, index]));
  let last = -1;
  let moved = false;
  for (const row of fresh) {
    const index = known.get(row.gateway.id);
    if (index === undefined || index < last) moved = true;
    else last = index;
  }
  return { rows: merged, moved };
}

/** Pages join without doubles: what moved between two requests stands once. */
export function append(rows: DashboardRow[], more: DashboardRow[]): DashboardRow[] {
  const known = new Set(rows.map((row) => row.gateway.id));
  return [...rows, ...more.filter((row) => !known.has(row.gateway.id))];
}

// ---- tiles ----

export interface Part {
  key: string;
  text: string;
  lamp: LampState;
  count: number;
  query: Record<string, string>; // the table that the number leads to
}

export function tunnelParts({ gauge }: Summary): Part[] {
  return [
    { key: 'up', text: 'Up', lamp: 'up', count: gauge.up, query: { tunnel: 'up' } },
    { key: 'down', text: 'Down', lamp: 'down', count: gauge.down, query: { tunnel: 'down' } },
    { key: 'resting', text: 'Resting', lamp: 'resting', count: gauge.resting, query: { tunnel: 'down' } },
    { key: 'never', text: 'Not joined', lamp: 'pending', count: gauge.never, query: { tunnel: 'down' } },
  ];
}

export function checkinParts({ pie }: Summary): Part[] {
  return [
    { key: 'up', text: 'On time', lamp: 'up', count: pie.up, query: { checkin: 'up' } },
    { key: 'late', text: 'Late', lamp: 'degraded', count: pie.late, query: { checkin: 'late' } },
    { key: 'missing', text: 'Missing', lamp: 'down', count: pie.missing, query: { checkin: 'missing' } },
    { key: 'never', text: 'Never yet', lamp: 'pending', count: pie.never, query: { checkin: 'never' } },
  ];
}

export interface Arc {
  key: string;
  from: number; // share of the circle, 0 to 1
  to: number;
}

/** A part that is there is seen: at least 1 % of the ring, taken from the largest. */
export function arcs(parts: Part[]): Arc[] {
  const there = parts.filter((part) => part.count > 0);
  const sum = there.reduce((total, part) => total + part.count, 0);
  if (sum === 0) return [];
  const shares = there.map((part) => Math.max(part.count / sum, 0.01));
  const largest = shares.indexOf(Math.max(...shares));
  shares[largest] = (shares[largest] ?? 0) - (shares.reduce((total, share) => total + share, 0) - 1);
  let at = 0;
  return there.map((part, index) => {
    const from = at;
    at += shares[index] ?? 0;
    return { key: part.key, from, to: Math.min(at, 1) };
  });
}

/** On time, of those that have ever checked in. null: none has. */
export function onTimeShare(summary: Summary): number | null {
  const { up, late, missing } = summary.pie;
  const sum = up + late + missing;
  return sum === 0 ? null : up / sum;
}

/** 97.64 % never reads 100 %, 0.02 % never 0 %. */
export function shareText(share: number): string {
  const percent = share * 100;
  const shown = share < 1 && percent > 99.9 ? 99.9 : share > 0 && percent < 0.1 ? 0.1 : percent;
  return `${number(shown, shown === 100 || shown === 0 ? 0 : 1)}\u202f%`;
}

// ---- sorting ----

export interface Sort {
  by: string; // "worst", "name", or "stat:" with the stat of a column
  descending: boolean;
}

export const worstFirst: Sort = { by: 'worst', descending: false };

/** What the API sorts by for a column. */
export function sortKey(column: Threshold): string {
  return `stat:${column.stat}${column.stat_label ? `/${column.stat_label}` : ''}`;
}

/** A click on a head: ascending, descending, worst first. */
export function nextSort(now: Sort, by: string): Sort {
  if (now.by !== by) return { by, descending: false };
  return now.descending ? worstFirst : { by, descending: true };
}

export function readSort(given: URLSearchParams): Sort {
  const by = given.get('sort') ?? '';
  if (by !== 'name' && !(/^stat:./.test(by) && by.length <= 140)) return worstFirst;
  return { by, descending: given.get('order') === 'desc' };
}

export function writeSort(sort: Sort): { sort: string | null; order: string | null } {
  return { sort: sort.by === 'worst' ? null : sort.by, order: sort.by !== 'worst' && sort.descending ? 'desc' : null };
}
