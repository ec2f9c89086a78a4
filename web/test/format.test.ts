import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, bytes, coordinates, duration, initials, moment, number, percent, plural, until, utc, withUnit, zone } from '../src/text/format';

const plain = (text: string) => text.replace(/\u202f/g, ' ').replace(/\u2212/g, '-');
const NOON = 1795604400; // 2026-11-25 11:00 UTC, 12:00 in Berlin

test('numbers: narrow thousands, a true minus, no dangling zeros', () => {
  assert.equal(number(7120), '7\u202f120');
  assert.equal(number(-112.5, 1), '\u2212112.5');
  assert.equal(number(999), '999');
  assert.equal(number(12.0, 2), '12');
  assert.equal(number(12, 1, true), '12.0');
  assert.equal(number(NaN), '–');
  assert.equal(plain(percent(0.976, 1)), '97.6 %');
  assert.equal(plain(withUnit(-82, 'dBm')), '-82 dBm');
  assert.equal(plural(1, 'gateway'), '1 gateway');
  assert.equal(plain(plural(7120, 'match', 'matches')), '7 120 matches');
});

test('bytes are decimal and never show 1000.0', () => {
  assert.equal(plain(bytes(0)), '0 B');
  assert.equal(plain(bytes(999)), '999 B');
  assert.equal(plain(bytes(48600000)), '48.6 MB');
  assert.equal(plain(bytes(999_960)), '1 MB');
});

test('durations in two units', () => {
  const cases: [number, string][] = [[12, '12 s'], [60, '1 min'], [130, '2 min 10 s'], [731, '12 min'], [43860, '12 h 11 min'], [273840, '3 d 04 h'], [-5, '0 s']];
  for (const [seconds, text] of cases) assert.equal(plain(duration(seconds)), text);
});

test('times: ages below an hour, then the clock, then the day', () => {
  assert.equal(plain(ago(NOON - 240, NOON)), '4 min ago');
  assert.equal(ago(NOON - 2, NOON), 'now');
  assert.equal(ago(NOON - 7200, NOON), '10:00');
  assert.equal(moment(NOON - 86400 * 3, NOON), '22 Nov 12:00');
  assert.equal(moment(NOON - 86400 * 400, NOON), '2025-10-21');
  assert.equal(plain(until(NOON + 360, NOON)), 'in 6 min');
  assert.equal(utc(NOON), '2026-11-25 11:00:00 UTC');
  assert.equal(zone(NOON), 'UTC+1');
});

test('coordinates and initials', () => {
  assert.equal(plain(coordinates(-33.9, 18.4)), '33.90000° S, 18.40000° E');
  assert.equal(initials('dispatch-2'), 'D2');
  assert.equal(initials('admin'), 'AD');
  assert.equal(initials('<>'), '?');
});
