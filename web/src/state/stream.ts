// Live events in this tab, wherever the connection is: in the SharedWorker, in the tab that leads, or here.

import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { StreamCore, type FromTab, type StreamState, type ToTab } from './stream-core';
import { openStreamWorker } from './trusted';

/** Kinds: gateway, tunnel, operation, event, group, tenant, remote-session, import, threshold; and "reset": events
 *  were missed, read again whatever is shown. */
export interface LiveEvent<T = Record<string, unknown>> {
  kind: string;
  data: T;
}
type Handler = (event: LiveEvent) => void;

export const streamState = signal<StreamState>({ state: 'off' });

const handlers = new Set<Handler>();
let send: ((message: FromTab) => void) | null = null;
let whenEnded: () => void = () => undefined;

function take(message: ToTab): void {
  if (message.type === 'state') {
    streamState.value = message.state;
    if (message.state.state === 'ended') whenEnded();
    return;
  }
  let data: unknown;
  try {
    data = JSON.parse(message.event.data);
  } catch {
    return;
  }
  if (typeof data !== 'object' || data === null) return;
  // Gateways come in groups; here each of them is an event.
  const { kind } = message.event;
  const items = kind === 'gateways' ? (data as { items?: unknown }).items : undefined;
  const events = Array.isArray(items) ? items.map((one) => ({ kind: 'gateway', data: one as Record<string, unknown> })) : [{ kind, data: data as Record<string, unknown> }];
  for (const event of events) for (const handler of [...handlers]) handler(event);
}

/** Without SharedWorker (Chrome on Android): the tab that gets the lock holds the connection for all. */
function leadOrFollow(): (message: FromTab) => void {
  const channel = new BroadcastChannel('amm-stream');
  const core = new StreamCore((message) => {
    channel.postMessage(message);
    take(message);
  });
  let isLeader = false;
  let isWanted = false;
  channel.onmessage = (event: MessageEvent<ToTab | { type: 'hello' }>) => {
    if (event.data.type !== 'hello') take(event.data);
    else if (isLeader) channel.postMessage({ type: 'state', state: core.state } satisfies ToTab);
  };
  const lead = async () => {
    isLeader = true;
    if (isWanted) core.start();
    await new Promise(() => undefined); // as long as the tab lives
  };
  if (navigator.locks) void navigator.locks.request('amm-stream', lead);
  else void lead();
  return (message) => {
    isWanted = message.type === 'start' || (message.type === 'now' && isWanted);
    if (!isLeader) channel.postMessage({ type: 'hello' });
    else if (message.type === 'start') core.start();
    else if (message.type === 'now') core.now();
    else if (message.type === 'stop') core.stop();
  };
}

function connectTab(): (message: FromTab) => void {
  const worker = openStreamWorker();
  if (!worker) return leadOrFollow();
  worker.port.onmessage = (event: MessageEvent<ToTab>) => take(event.data);
  addEventListener('pagehide', () => worker.port.postMessage({ type: 'bye' } satisfies FromTab));
  addEventListener('pageshow', (event) => {
    if (event.persisted) worker.port.postMessage({ type: 'start' } satisfies FromTab);
  });
  return (message) => worker.port.postMessage(message);
}

export function startStream(ended: () => void): void {
  whenEnded = ended;
  send ??= connectTab();
  send({ type: 'start' });
}

export function stopStream(): void {
  send?.({ type: 'stop' });
  streamState.value = { state: 'off' };
}

export function reconnectStream(): void {
  send?.({ type: 'now' });
}

/** Returns what takes it back. */
export function onLive(handler: Handler): () => void {
  handlers.add(handler);
  return () => handlers.delete(handler);
}

/** In a component; the newest `handler` is called. */
export function useLive(handler: Handler): void {
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => onLive((event) => latest.current(event)), []);
}
