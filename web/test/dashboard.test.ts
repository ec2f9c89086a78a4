import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cell, DashboardRow, Summary, Threshold } from '../src/api/shapes';
import {
  append, arcs, cellView, checkinParts, columnGroups, conditionWords, isNumericColumn, merge, nextSort, onTimeShare, readSort, shareText, sortKey,
  tunnelParts, worstFirst, writeSort,
} from '../src/model/dashboard';
import { asQuery, chips, isEmpty, noFilter, readFilter, same, save, statWords, without, words, writeFilter } from '../src/model/filters';

const column = (more: Partial<Threshold>): Threshold => ({
  id: '1', label: 'RSRP', tenant: '1', stat: 'CellLink-RSRP', stat_label: '', gateway_types: ['amm'], default: '', display_filter: '', dashboard_group: 1, order: 0,
  warning: null, error: null, hysteresis: 0, hold_s: 0, unit: '', ...more,
});
const row = (id: string, ...cells: Cell[]): DashboardRow => ({
  gateway: { id, name: `Bus ${id}`, label: '', tenant: '1', group: '2', kind: 'amm', lamps: { checkin: 'up', tunnel: 'up' } }, cells,
});
const summary = (pie: [number, number, number, number], gauge: [number, number, number, number]): Summary => ({
  gateways: 0, pie: { up: pie[0], late: pie[1], missing: pie[2], never: pie[3] },
  gauge: { up: gauge[0], down: gauge[1], resting: gauge[2], never: gauge[3], of: 0 },
  states: { ok: 0, warning: 0, error: 0 }, sync: {}, wants_look: 0, look: [], ports: [],
});

test('columns stand by group, order, id; hidden ones do not', () => {
  const columns = [
    column({ id: '3', label: 'SINR', unit: 'dB', dashboard_group: 2, order: 2 }), column({ id: '2', label: 'RSRP', unit: 'dBm', dashboard_group: 2, order: 1 }),
    column({ id: '10', label: 'b' }), column({ id: '9', label: 'a' }), column({ id: '5', label: 'gone', dashboard_group: 3 }),
  ];
  const groups = columnGroups(columns, new Set(['gone']));
  assert.deepEqual(groups.map((one) => [one.number, one.units, one.columns.map((each) => each.id)]), [[1, '', ['9', '10']], [2, 'dBm and dB', ['2', '3']]]);
});

test('cells: numbers with a minus, missing values as dashes, states with a shape', () => {
  const rsrp = column({ warning: { op: 'lt', value: '-110' } });
  assert.deepEqual(cellView(rsrp, { value: -119, state: 'error' }), { text: '\u2212119', state: 'error', lamp: 'down', right: true });
  assert.equal(cellView(rsrp, undefined).text, '–');
  assert.equal(cellView(rsrp, { value: -111, state: 'warning' }).lamp, 'degraded');
  assert.ok(isNumericColumn(rsrp));
  assert.ok(!isNumericColumn(column({ stat: 'Platform' }), 'RV50'));
});

test('cells of what only the server knows', () => {
  const heartbeat = column({ stat: 'Heartbeat' });
  assert.equal(cellView(heartbeat, { value: 254, state: 'ok' }).text, '4\u202fmin');
  assert.equal(cellView(heartbeat, { value: null, state: 'none' }).text, 'never');
  const tunnel = column({ stat: 'ManagementTunnel-IPAddress' });
  assert.equal(cellView(tunnel, { value: null, state: 'error' }, 'down').text, 'down');
  assert.equal(cellView(tunnel, { value: null, state: 'none' }, 'resting').text, 'resting');
  assert.equal(cellView(tunnel, { value: '10.4.37.122', state: 'ok' }, 'up').text, '10.4.37.122');
});

test('conditions in words', () => {
  assert.equal(conditionWords({ op: 'lt', value: '-110' }, 'dBm'), 'below \u2212110\u202fdBm');
  assert.equal(conditionWords({ op: 'gt', value: '2700' }, '', 'Heartbeat'), 'above 45\u202fmin');
  assert.equal(conditionWords({ op: 'matches', value: '4.16' }), 'matches 4.16');
  assert.equal(conditionWords({ op: 'missing' }), 'missing');
  assert.equal(conditionWords(null), 'never');
});

test('new values replace in place; another order is only told', () => {
  const rows = [row('1'), row('2'), row('3')];
  const fresh = [row('1', { value: 1, state: 'ok' }), row('2'), row('3')];
  assert.equal(merge(rows, fresh).moved, false);
  assert.equal(merge(rows, fresh).rows[0]?.cells.length, 1);
  const swapped = merge(rows, [row('3'), row('1'), row('2')]);
  assert.equal(swapped.moved, true);
  assert.deepEqual(swapped.rows.map((one) => one.gateway.id), ['1', '2', '3']);
  assert.equal(merge(rows, [row('9'), row('1')]).moved, true);
  assert.deepEqual(append(rows, [row('3'), row('4')]).map((one) => one.gateway.id), ['1', '2', '3', '4']);
});

test('the ring: what is there is seen, and all of it is the whole', () => {
  const pieces = arcs(tunnelParts(summary([0, 0, 0, 0], [7999, 1, 0, 0])));
  assert.equal(pieces.length, 2);
  assert.ok(Math.abs((pieces[1]?.to ?? 0) - 1) < 1e-9);
  assert.ok((pieces[1]?.to ?? 0) - (pieces[1]?.from ?? 0) >= 0.0099);
  assert.deepEqual(arcs(tunnelParts(summary([0, 0, 0, 0], [0, 0, 0, 0]))), []);
  assert.equal(checkinParts(summary([1, 2, 3, 4], [0, 0, 0, 0]))[2]?.query['checkin'], 'missing');
});

test('shares never say all when one is missing, nor none when one is there', () => {
  assert.equal(shareText(1), '100\u202f%');
  assert.equal(shareText(0.99999), '99.9\u202f%');
  assert.equal(shareText(0.00001), '0.1\u202f%');
  assert.equal(onTimeShare(summary([0, 0, 0, 9], [0, 0, 0, 0])), null);
  assert.equal(onTimeShare(summary([3, 1, 0, 9], [0, 0, 0, 0])), 0.75);
});

test('sorting: up, down, worst first; the address bar is not trusted', () => {
  const up = nextSort(worstFirst, 'name');
  assert.deepEqual(up, { by: 'name', descending: false });
  assert.deepEqual(nextSort(nextSort(up, 'name'), 'name'), worstFirst);
  assert.equal(sortKey(column({ stat_label: 'dock' })), 'stat:CellLink-RSRP/dock');
  assert.deepEqual(readSort(new URLSearchParams('sort=stat:X&order=desc')), { by: 'stat:X', descending: true });
  assert.deepEqual(readSort(new URLSearchParams('sort=password')), worstFirst);
  assert.deepEqual(writeSort(worstFirst), { sort: null, order: null });
});

test('filters: through the address bar and back, without what does not fit', () => {
  const filter = readFilter(new URLSearchParams('tunnel=down&text=bus&port=1190&sync=nonsense&kind=%3Cb%3E'));
  assert.deepEqual(writeFilter(filter), { text: 'bus', tunnel: 'down', port: '1190' });
  assert.ok(same(readFilter(new URLSearchParams(asQuery(filter))), filter));
  assert.ok(isEmpty(readFilter(new URLSearchParams('port=0&text='))));
  assert.deepEqual(chips(filter).map((one) => one.text), ['Tunnel: down', 'Port: 1190']);
  assert.equal(words(filter), '“bus”, Tunnel: down, Port: 1190');
  assert.deepEqual(writeFilter(without(filter, 'tunnel')), { text: 'bus', port: '1190' });
  assert.equal(statWords('CellLink-RSSI<-100;Platform=RV50;!X;Y'), 'CellLink-RSSI < \u2212100 and Platform = RV50 and X missing and Y reported');
});

test('saved filters replace their namesake and stay few', () => {
  let list = save([], 'a', { ...noFilter, tunnel: 'up' });
  list = save(list, 'a', { ...noFilter, tunnel: 'down' });
  assert.deepEqual(list, [{ name: 'a', query: 'tunnel=down' }]);
  for (let i = 0; i < 30; i++) list = save(list, `n${i}`, noFilter);
  assert.equal(list.length, 20);
});
