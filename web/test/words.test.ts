import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayPage, ParameterKind, RemoteSession } from '../src/api/types';
import { buttonState, type ButtonInput } from '../src/text/acemanager';
import { isOpen, operationShare, operationState } from '../src/text/operations';
import { allowedOf, parameterRows, problemOf, publicNumber, valueText, valueToSend } from '../src/text/parameters';
import { match } from '../src/state/match';
import { byPurpose, withGaps } from '../src/text/series';

const page = (state: GatewayPage['state']): GatewayPage => ({ scheme: 'https', port: 9443, state, why: 'Because.', cure: 'Do this.' });
const session = (state: RemoteSession['state']) => ({ state, opened_at: 1000, entered_at: 1000, expected_wait: 360 }) as RemoteSession;
const input = (more: Partial<ButtonInput>): ButtonInput => ({
  page: page('ready'), kind: 'amm', name: 'dispatch-2', role: 'operator', mayOperate: true, hasCheckedIn: true, branch: 'Buses', tunnelUp: true, tunnelSince: 900, tunnelError: undefined,
  session: null, isOpening: false, now: 1000, ...more,
});

test('the button: each state, in its order of weight', () => {
  const kind = (more: Partial<ButtonInput>) => buttonState(input(more)).kind;
  assert.equal(kind({}), 'ready');
  assert.equal(kind({ mayOperate: false }), 'ready');
  assert.equal(kind({ mayOperate: false, tunnelUp: false }), 'unavailable');
  assert.equal(kind({ kind: 'openvpn', tunnelUp: false }), 'unavailable');
  assert.equal(kind({ hasCheckedIn: false, tunnelUp: false }), 'unavailable');
  assert.equal(kind({ isOpening: true }), 'busy');
  assert.equal(kind({ session: session('waiting'), tunnelUp: false }), 'waiting');
  assert.equal(kind({ session: session('open') }), 'in-use');
  assert.equal(kind({ session: session('open'), tunnelUp: false }), 'closed');
  assert.equal(kind({ page: page('key-changed'), session: session('open') }), 'key-changed');
  assert.equal(kind({ page: page('unavailable') }), 'unavailable');
  assert.equal(kind({ page: undefined }), 'ready');
});

test('the button never is grey without a reason, and says who can help', () => {
  assert.match(buttonState(input({ mayOperate: false, role: 'viewer', tunnelUp: false })).note, /viewer in Buses.*administrator/);
  assert.equal(buttonState(input({ page: page('unavailable') })).note, 'Because. Do this.');
  assert.match(buttonState(input({ tunnelUp: false, tunnelSince: null })).alarm ?? '', /never been up/);
  assert.match(buttonState(input({ session: session('waiting'), now: 1010 })).text, /about 6\u202fmin/);
  assert.match(buttonState(input({ session: session('waiting'), now: 9999 })).text, /as soon as/);
});

const kind = (id: number, allowed: string, initial?: number | string): ParameterKind => ({ id, name: `n${id}`, help: '', allowed, settable: true, secret: false, activation: 'now', ...(initial === undefined ? {} : { initial }) });

test('what is allowed is read from the words of the registry', () => {
  assert.deepEqual(allowedOf('1190, 1191, 1192, 1193'), { type: 'choice', values: ['1190', '1191', '1192', '1193'] });
  assert.deepEqual(allowedOf('Disable, Enable'), { type: 'choice', values: ['Disable', 'Enable'] });
  assert.deepEqual(allowedOf('60 to 86400 s'), { type: 'number', least: 60, most: 86400, unit: 's' });
  assert.deepEqual(allowedOf('0 to 64 bytes of text without control characters'), { type: 'text', bytes: 64 });
  assert.equal(allowedOf('up to 4 host names or IP addresses, with commas between').type, 'text');
});

test('a refused value is named with what is allowed', () => {
  assert.match(problemOf(kind(10034, '1190, 1191'), '1194') ?? '', /^10034: .*Allowed: 1190, 1191\./);
  assert.ok(problemOf(kind(1, '60 to 86400 s'), '5'));
  assert.ok(problemOf(kind(1, '60 to 86400 s'), ''));
  assert.ok(problemOf(kind(1, '60 to 86400 s'), '1e99'));
  assert.equal(problemOf(kind(1, '60 to 86400 s'), '900'), null);
  assert.ok(problemOf(kind(1, '0 to 4 bytes of text'), 'äää'));
  assert.equal(valueToSend(kind(1, '1190, 1191', 1190), '1191', undefined), 1191);
  assert.equal(valueToSend(kind(1, 'Disable, Enable', 'Disable'), 'Enable', 'Disable'), 'Enable');
});

test('parameters: what waits comes first, our own numbers are not shown', () => {
  const values = [{ id: 2, name: 'b', desired: { value: 1, from: 'own' as const, group: null, at: 0, by: '' }, pending: true }, { id: 1, name: 'a' }];
  assert.deepEqual(parameterRows(values, [], '', true).map((one) => one.title), ['b', 'a']);
  assert.deepEqual(parameterRows(values, [kind(3, 'x')], 'n3', false).map((one) => one.id), [3]);
  assert.equal(publicNumber(10034), '10034');
  assert.equal(publicNumber(60003), null);
  assert.equal(valueText({ set: true }), 'set');
  assert.equal(valueText(-71, 'dBm'), '\u221271\u202fdBm');
});

test('operations in words', () => {
  assert.equal(operationShare({ text: '31 of 48 MB' })?.toFixed(2), '0.65');
  assert.equal(operationShare({ text: 'none' }), null);
  assert.equal(operationShare({ text: '', result: { done: 5, of: 4 } }), 1);
  assert.equal(operationState('nonsense' as never).word, 'Unknown');
  assert.ok(isOpen('queued') && !isOpen('done'));
});

test('paths', () => {
  assert.deepEqual(match('/gateways/:id', '/gateways/12'), { id: '12' });
  assert.deepEqual(match('/gateways/:id', '/gateways/12/'), { id: '12' });
  assert.equal(match('/gateways/:id', '/gateways/'), null);
  assert.equal(match('/gateways/:id', '/gateways/%E0%A4%A'), null);
  assert.equal(match('/operations', '/operationsx'), null);
});

test('a gap in the data is a gap in the line', () => {
  assert.deepEqual(withGaps([[10, 1], [20, 2], [90, 3]], [[20, 90]]), { times: [10, 20, 21, 90], values: [1, 2, null, 3] });
  assert.deepEqual(withGaps([[90, 3]], [[20, 90]]), { times: [90], values: [3] });
  assert.deepEqual(byPurpose([{ at: 1, checkin: 5, tunnel_in: 10, tunnel_out: 10, page: 15 }]), [{ at: 1, page: 15, checkin: 5, tunnel: 5 }]);
});
