// The SharedWorker: one event stream for all tabs of a browser.

import { StreamCore, type FromTab, type ToTab } from './stream-core';

const ports = new Set<MessagePort>();
const core = new StreamCore((message) => {
  for (const port of ports) port.postMessage(message);
});

function take(port: MessagePort, message: FromTab): void {
  if (message.type === 'bye') {
    ports.delete(port);
    if (ports.size === 0) core.stop();
    return;
  }
  ports.add(port);
  if (message.type === 'stop') core.stop();
  else if (message.type === 'now') core.now();
  else {
    core.start();
    port.postMessage({ type: 'state', state: core.state } satisfies ToTab);
  }
}

(globalThis as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0];
  if (port) port.onmessage = (message: MessageEvent<FromTab>) => take(port, message.data);
};
