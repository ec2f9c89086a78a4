// "Test": through the tunnel, step by step, in words.

import { useEffect } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayWhole, TestStep } from '../../api/types';
import { Button } from '../../components/button';
import { Dialog } from '../../components/dialog';
import { Lamp } from '../../components/lamp';
import { ErrorNote } from '../../components/states';
import { announce } from '../../state/messages';
import { useResource } from '../../state/resource';
import { number } from '../../text/format';

const steps: Record<TestStep['name'], string> = {
  ping: 'Ping',
  tcp: 'Connection to the page’s port',
  tls: 'Key of the page',
  page: 'Title of the page',
  mtu: 'Largest packet',
};
const order: TestStep['name'][] = ['ping', 'tcp', 'tls', 'page', 'mtu'];

export function TestDialog({ gateway, onClose }: { gateway: GatewayWhole; onClose: () => void }) {
  const test = useResource(`test ${gateway.id}`, () => api.post<{ steps: TestStep[] }>(`/gateways/${gateway.id}/test`, {}, { timeout: 20000 }));
  const found = test.data?.steps ?? [];
  const bad = found.find((one) => !one.ok);
  useEffect(() => {
    if (test.data) announce(bad ? `Test: ${steps[bad.name] ?? bad.name} failed` : 'Test: all steps passed');
  }, [test.data]);
  return (
    <Dialog
      title={`Test of ${gateway.name}`}
      onClose={onClose}
      footer={
        <>
          <Button icon="again" busy={test.loading} onClick={test.reload}>Test again</Button>
          <Button onClick={onClose} autofocus>Close</Button>
        </>
      }
    >
      <div class="stack">
        <p class="sec">{test.loading ? 'Through the tunnel, at most 10 s.' : test.data ? (bad ? 'Not all of it works.' : 'All of it works.') : ''}</p>
        {test.error && <ErrorNote error={test.error} title="The test did not run." />}
        {!test.error && (
          <ul class="test-steps">
            {order.map((name) => {
              const step = test.loading ? undefined : found.find((one) => one.name === name);
              const state = test.loading ? 'pending' : !step ? 'unknown' : step.ok ? 'up' : 'down';
              return (
                <li key={name}>
                  <Lamp state={state} label={{ pending: 'running', unknown: 'not tried', up: 'good', down: 'failed' }[state]} />
                  <div>
                    <div>{steps[name]}</div>
                    {!test.loading && <div class="small sec">{step?.text ?? 'not tried: a step before it failed'}</div>}
                  </div>
                  {step?.ms ? <span class="dim small">{number(step.ms)} ms</span> : <span />}
                </li>
              );
            })}
          </ul>
        )}
      </div>
    </Dialog>
  );
}
