import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff, SseParser } from '../src/state/sse';

test('events come through pieces of any size', () => {
  const text = ': ammd\nretry: 3000\n\nid: 1-1\nevent: gateway\ndata: {"a":1}\n\nid: 1-2\r\ndata: x\r\ndata: y\r\n\r\n';
  for (const size of [1, 2, 7, text.length]) {
    const parser = new SseParser();
    const events = [];
    for (let i = 0; i < text.length; i += size) events.push(...parser.push(text.slice(i, i + size)));
    assert.deepEqual(events, [
      { id: '1-1', kind: 'gateway', data: '{"a":1}' },
      { id: '1-2', kind: 'message', data: 'x\ny' },
    ]);
    assert.equal(parser.retry, 3000);
  }
});

test('an event that was cut off is not one', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('event: gateway\ndata: {"a"'), []);
  assert.deepEqual(parser.push('\n\n')[0]?.data, '{"a"');
  assert.deepEqual(parser.push('event: nothing\n\n'), []);
});

test('attempts get rarer, and never come at the same time', () => {
  assert.equal(backoff(1, 0), 1);
  assert.equal(backoff(4, 0), 8);
  assert.equal(backoff(20, 0), 30);
  assert.ok(backoff(1, 0.9) > backoff(1, 0.1));
});
