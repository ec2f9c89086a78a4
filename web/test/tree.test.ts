import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayCompact, TreeGroup, TreeTenant } from '../src/api/types';
import { directCount, flatten, pathTo, type TreeRow } from '../src/state/tree';
import { range } from '../src/components/virtual';

const group = (id: string, parent: string | null, name: string, count: number): TreeGroup => ({
  id, parent, name, count, checkin: { up: count, late: 0, missing: 0, never: 0 }, tunnel: { up: count, down: 0, resting: 0, never: 0 }, pending: 0,
});
const gateway = (id: string, name: string, of: string): GatewayCompact => ({
  id, name, label: '', tenant: '1', group: of, kind: 'amm', lamps: { checkin: 'up', tunnel: 'up' },
});
const tenant: TreeTenant = { id: '1', name: 'T', groups: [group('1', null, 'T', 3), group('2', '1', 'b10', 2), group('3', '1', 'b9', 1), group('4', '2', 'deep', 0)] };
const members: Record<string, GatewayCompact[]> = { '2': [gateway('20', 'x', '2'), gateway('21', 'y', '2')], '3': [gateway('30', 'z', '3')] };
const rows = (open: string[], only: GatewayCompact[] | null = null) =>
  flatten({ tenant, open: new Set(open), gatewaysOf: (id) => members[id] ?? [], isLoading: () => false, only });
const text = (list: TreeRow[]) => list.map((row) => `${row.level}${row.kind === 'group' ? row.group.name : row.kind === 'gateway' ? row.gateway.name : '…'}`).join(' ');

test('groups stand in the order people count, gateways below them', () => {
  assert.equal(text(rows(['1'])), '1T 2b9 2b10');
  assert.equal(text(rows(['1', '2'])), '1T 2b9 2b10 3deep 3x 3y');
});

test('a search keeps the path to what it found, and nothing else', () => {
  assert.equal(text(rows([], [gateway('21', 'y', '2')])), '1T 2b10 3y');
  assert.equal(text(rows(['1'], [])), '');
});

test('a parent that one may not see puts the group at the top; a ring ends', () => {
  assert.equal(text(flatten({ tenant: { ...tenant, groups: [group('9', '7', 'mine', 0)] }, open: new Set(), gatewaysOf: () => [], isLoading: () => false, only: null })), '1mine');
  const ring = { ...tenant, groups: [group('1', '2', 'a', 0), group('2', '1', 'b', 0)] };
  assert.ok(pathTo(ring, '1').length <= 2);
});

test('gateways of a group itself are what its groups do not have', () => {
  const [top, a, b] = tenant.groups;
  assert.equal(top && a && b && directCount(top, [a, b]), 0);
});

test('of 8 000 rows a screen and a few more are drawn', () => {
  const [first, last] = range(28 * 4000, 800, 28, 8000);
  assert.ok(first <= 4000 && last >= 4028 && last - first < 60);
  assert.deepEqual(range(0, 800, 28, 3), [0, 3]);
  assert.deepEqual(range(1e9, 800, 28, 3), [3, 3]);
});
