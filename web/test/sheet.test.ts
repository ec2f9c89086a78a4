import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Import, ImportRow } from '../src/api/shapes';
import { csv } from '../src/model/csv';
import { networkText, nextFree, overlap, parseNetwork, poolFault, slots, strips } from '../src/model/pools';
import {
  applyFault, columnTitle, difference, expectedEnd, fileFault, freeAfter, knowledge, mappingFault, outcome, progressOf, rowsToApply, share, stages, stepOf,
} from '../src/model/sheet';
import { bodyOf, check, emptyForm, formOf, readNumber, steadiness } from '../src/model/thresholds';

const sheet = (more: Partial<Import>): Import => ({
  id: '1', tenant: '1', group: '0', state: 'ready', phase: 'none', filename: 'fleet.xlsx', by: 'admin', at: 0, changed_at: 0, text: '', columns: [],
  rows: { total: 10, good: 7, bad: 2, unchanged: 1, change: 5, new: 2, check: 0, applied: 0, failed: 0, conflicts: 0 },
  ports: [], progress: { done: 0, of: 0 }, moves: { stage: 0, done: 0, back: 0, failed: 0, waiting: 0 }, only_good: false, create_unknown: false, undo_until: null, ...more,
});
const row = (more: Partial<ImportRow>): ImportRow => ({
  row: 119, gateway: '4', name: 'Bus 1036', serial: 'N7', verdict: 'bad', text: '', state: 'none', move: 'none', cells: [], ...more,
});
const column = (letter: string, target: string, header = '') => ({ column: letter, header, target, sure: true });

test('files that are not worth sending', () => {
  assert.equal(fileFault('fleet.XLSX', 100), null);
  assert.match(fileFault('fleet.ods', 100) ?? '', /neither CSV nor XLSX/);
  assert.match(fileFault('fleet.csv', 0) ?? '', /empty/);
  assert.match(fileFault('fleet.csv', 40e6) ?? '', /Split it/);
});

test('the mapping names gateways, and nothing twice', () => {
  assert.equal(mappingFault([column('A', 'serial'), column('B', '10034')]), null);
  assert.match(mappingFault([column('A', 'ignore'), column('B', '10034')]) ?? '', /which gateway/);
  assert.match(mappingFault([column('A', 'serial'), column('B', '10034'), column('C', '10034')]) ?? '', /Columns B and C/);
  assert.match(mappingFault([column('A', 'serial')]) ?? '', /nothing to change/);
  assert.equal(columnTitle(column('C', '10034', '10034')), '10034');
  assert.equal(columnTitle(column('C', '10034', 'Port')), '10034, Port');
  assert.equal(columnTitle(column('C', 'group', 'x')), 'Group');
});

test('a refused cell says place, reason and what is allowed', () => {
  const refused = row({ cells: [{ column: 'E', header: '10034', new: '1194', error: '1194 is no tunnel port', allowed: '1190, 1191' }] });
  assert.deepEqual(knowledge(refused), [{ place: 'E119, 10034', text: '1194 is no tunnel port. Allowed: 1190, 1191.' }]);
  assert.deepEqual(knowledge(row({ text: 'Same gateway as row 114' })), [{ place: '', text: 'Same gateway as row 114.' }]);
  assert.deepEqual(difference({ column: 'A', header: '', now: '1190', new: '1192' }), { old: '1190', text: '1192', isBad: false });
  assert.equal(difference({ column: 'A', header: '', now: '1190', new: '1194', error: 'no' }).old, null);
});

test('what apply would do, and why it cannot', () => {
  assert.equal(rowsToApply(sheet({}), true), 7);
  assert.equal(rowsToApply(sheet({}), false), 5);
  assert.match(applyFault(sheet({}), false, true) ?? '', /2 rows are refused/);
  assert.equal(applyFault(sheet({}), true, true), null);
  const port = { port: 1192, now: 2000, in: 60, out: 0, after: 2060, limit: 2047, free_for_you: 47 };
  assert.equal(freeAfter(port), -13);
  assert.equal(applyFault(sheet({ ports: [port] }), true, true), null); // the rows that go there are refused, the others are good
  assert.match(applyFault(sheet({ rows: { ...sheet({}).rows, good: 0, new: 0 } }), true, true) ?? '', /nothing to change/);
});

test('steps, progress and stages', () => {
  assert.deepEqual((['reading', 'mapping', 'ready', 'held', 'undone'] as const).map(stepOf), ['upload', 'columns', 'preview', 'apply', 'apply']);
  assert.equal(share({ done: 5, of: 0 }), 0);
  assert.equal(expectedEnd({ done: 50, of: 100 }, 30), 30);
  const moves = { stage: 3, done: 35, back: 30, failed: 1, waiting: 115 };
  assert.deepEqual(progressOf(sheet({ phase: 'moves', moves })), { done: 31, of: 150 });
  assert.deepEqual(stages(moves, false).map((one) => one.lamp), ['up', 'up', 'pending']);
  assert.deepEqual(stages({ stage: 1, done: 1, back: 0, failed: 0, waiting: 99 }, true).map((one) => one.lamp), ['up', 'unknown', 'unknown']);
  assert.deepEqual(stages({ stage: 1, done: 0, back: 0, failed: 0, waiting: 1 }, false).map((one) => one.note), ['0 of 1 moved', 'not needed', 'not needed']);
  assert.equal(outcome(row({ state: 'applied', move: 'ordered' }))?.text, 'Moves');
  assert.equal(outcome(row({})), null);
});

test('pools: the rules of amm-tunneld, and what is free', () => {
  assert.equal(poolFault('10.36.0.0/19'), null);
  assert.match(poolFault('10.36.1.0/19') ?? '', /10\.36\.0\.0\/19/);
  assert.match(poolFault('10.36.0.0/8') ?? '', /\/16 to \/29/);
  assert.match(poolFault('10.300.0.0/19') ?? '', /no network/);
  const net = (text: string) => parseNetwork(text) ?? { address: 0, prefix: 0 };
  assert.ok(overlap(net('10.4.0.0/16'), net('10.4.32.0/19')));
  assert.ok(!overlap(net('10.4.0.0/19'), net('10.4.32.0/19')));
  assert.equal(slots(net('10.4.32.0/19'), 'net30'), 2047);
  assert.equal(networkText(nextFree(net('10.20.0.0/19'), [net('10.20.0.0/17')]) ?? net('0.0.0.0/0')), '10.20.128.0/19');
  const drawn = strips([{ port: 1190, pool: '10.4.32.0/19' }, { port: 1191, pool: '10.4.96.0/19' }], { port: 1191, wanted: '10.5.0.0/19', clash: true });
  assert.deepEqual(drawn.map((one) => one.title), ['10.4.0.0/16', '10.5.0.0/16']);
  assert.deepEqual(drawn[0]?.blocks.map((one) => one.kind), ['free', 'pool', 'free', 'now', 'free', 'free', 'free', 'free']);
  assert.equal(drawn[1]?.blocks[0]?.kind, 'clash');
});

test('thresholds: the form, its faults, and what goes to the API', () => {
  const form = { ...emptyForm({ tenant: '1', group: '0' }), label: ' RSRP ', stat: 'CellLink-RSRP', unit: 'dBm', warning: { op: 'lt' as const, value: '\u2212110' } };
  assert.deepEqual(check(form), {});
  assert.deepEqual(bodyOf(form, true)['warning'], { op: 'lt', value: -110 });
  assert.equal(bodyOf(form, true)['label'], 'RSRP');
  assert.equal(bodyOf(form, false)['group'], undefined);
  assert.match(check({ ...form, warning: { op: 'lt', value: '-1l0' } }).warning ?? '', /not a number/);
  assert.match(check({ ...form, dashboardGroup: '100' }).dashboardGroup ?? '', /0 to 99/);
  assert.equal(readNumber('1\u202f000.5'), 1000.5);
  assert.equal(readNumber('1e5'), null);
  const threshold = { ...bodyOf(form, true), id: '1', hold_s: 300, hysteresis: 3 } as unknown as Parameters<typeof formOf>[0];
  assert.equal(formOf(threshold).warning.value, '-110');
  assert.equal(steadiness(threshold), 'after 5\u202fmin, back by 3');
});

test('CSV: quotes, and nothing that a spreadsheet program would run', () => {
  assert.equal(csv(['a', 'b'], [['x,"y"', '=1+1'], ['\u2212', '@x']]), 'a,b\r\n"x,""y""",\'=1+1\r\n\u2212,\'@x\r\n');
});
