// The frame around every page: top bar, tree, page, messages; or the login.

import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, asApiError } from '../api/client';
import { Button } from '../components/button';
import { ConfirmDialog, Dialog } from '../components/dialog';
import { Lamp } from '../components/lamp';
import { ErrorNote, Skeleton } from '../components/states';
import { NotFound } from '../pages/not-found';
import { SignIn } from '../pages/sign-in';
import { home, routes, type PageProps, type Route } from '../pages/routes';
import { order, rebootOf } from '../state/acts';
import { forgetFleet, startFleet } from '../state/fleet';
import { dismiss, messages, say, spoken } from '../state/messages';
import { useAction } from '../state/resource';
import { match, moves, navigate, place } from '../state/router';
import { loadSession, session } from '../state/session';
import { shortcuts, useShortcut } from '../state/shortcuts';
import { Side } from './side';
import { Top } from './top';

const pages = new Map<string, ComponentType<PageProps>>();

function Page({ route, params }: { route: Route; params: Record<string, string> }) {
  const [, redraw] = useState(0);
  const [error, setError] = useState<ApiError | null>(null);
  const Found = pages.get(route.path);
  useEffect(() => {
    if (Found) return;
    route.load().then(
      (module) => {
        pages.set(route.path, module.default);
        setError(null);
        redraw((n) => n + 1);
      },
      (thrown: unknown) => setError(asApiError(thrown)),
    );
  }, [route]);
  if (Found) return <Found key={JSON.stringify(params)} params={params} />;
  // The server was updated: the old page's files are gone.
  if (error) return <ErrorNote error={error} title="This page could not be loaded." onRetry={() => location.reload()} />;
  return <Skeleton lines={6} label="Loading the page" />;
}

function Messages() {
  return (
    <>
      <div class="toasts">
        {messages.value.map((one) => (
          <div key={one.id} class="toast" role="status">
            <Lamp state={one.state} />
            <span>{one.text}</span>
            {one.action && (
              <Button
                kind="row"
                onClick={() => {
                  dismiss(one.id);
                  one.action?.run();
                }}
              >
                {one.action.label}
              </Button>
            )}
            <Button kind="quiet" size="small" icon="x" label="Dismiss" onClick={() => dismiss(one.id)} />
          </div>
        ))}
      </div>
      <div class="vh" role="status" aria-live="polite">{spoken.value}</div>
    </>
  );
}

function Keys({ onClose }: { onClose: () => void }) {
  const seen = new Map(shortcuts.value.map((one) => [one.keys, one.label]));
  const tree = [['↑ ↓', 'Move in the tree'], ['→ ←', 'Open and close a group'], ['Enter', 'Open'], ['Shift F10', 'Menu of a row']] as const;
  return (
    <Dialog title="Keys" onClose={onClose} footer={<Button onClick={onClose} autofocus>Close</Button>}>
      <dl class="keys">
        {[...seen, ...tree].map(([keys, label]) => (
          <div key={keys}>
            <dt>{keys.split(' ').map((one) => <kbd key={one}>{one === 'Escape' ? 'Esc' : one}</kbd>)}</dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">Single keys do nothing inside fields. They can be switched off under Preferences.</p>
    </Dialog>
  );
}

function Reboot() {
  const gateway = rebootOf.value;
  const action = useAction();
  if (!gateway) return null;
  const close = () => {
    rebootOf.value = null;
    action.clear();
  };
  const confirm = async () => {
    const operation = await action.run(() => order(gateway.id, 'reboot'));
    if (!operation) return;
    close();
    say('pending', `Reboot of ${gateway.name} is ordered`, { label: 'Show', run: () => navigate(`/gateways/${gateway.id}`) });
  };
  return (
    <ConfirmDialog title={`Reboot ${gateway.name}?`} act="Reboot" keep="Keep it running" danger busy={action.busy} error={action.error} onConfirm={() => void confirm()} onClose={close}>
      <p>It is out of reach for one to three minutes: the tunnel, open remote sessions and what is connected to its LAN. Settings stay.</p>
    </ConfirmDialog>
  );
}

function Signed() {
  const [isDrawn, setDrawn] = useState(false);
  const [hasKeys, setKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { path } = place.value;
  const found = routes.map((route) => ({ route, params: match(route.path, path) })).find((one) => one.params !== null);
  useShortcut('?', 'All keys', () => setKeys(true));
  useEffect(() => {
    startFleet();
    return forgetFleet;
  }, []);
  useEffect(() => {
    if (path === '/') navigate(home, 'replace');
  }, [path]);
  useEffect(() => {
    setDrawn(false);
    if (moves.value > 0) main.current?.focus({ preventScroll: true });
  }, [moves.value]);

  const hasTree = found?.route.hasTree ?? true;
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <Top onDrawer={hasTree ? () => setDrawn(true) : null} onKeys={() => setKeys(true)} />
      <div class={`frame ${hasTree ? 'with-tree' : ''}`}>
        {hasTree && (
          <aside class={`side ${isDrawn ? 'drawn' : ''}`} aria-label="Gateway tree" onKeyDown={(event) => event.key === 'Escape' && setDrawn(false)}>
            <Side onChoose={() => setDrawn(false)} />
          </aside>
        )}
        {hasTree && isDrawn && <div class="scrim" onClick={() => setDrawn(false)} />}
        <main class={hasTree ? 'main' : 'main page'} id="main" ref={main} tabIndex={-1}>
          {found?.params ? <Page route={found.route} params={found.params} /> : path !== '/' && <NotFound what={path} />}
        </main>
      </div>
      {hasKeys && <Keys onClose={() => setKeys(false)} />}
      <Reboot />
    </>
  );
}

export function App() {
  const current = session.value;
  return (
    <>
      {current.state === 'in' && !current.me.must_change_password ? (
        <Signed />
      ) : current.state === 'unknown' ? (
        <main class="page center-page">
          {current.error ? <ErrorNote error={current.error} title="The console could not start." onRetry={() => void loadSession()} /> : <Skeleton lines={3} label="Loading" />}
        </main>
      ) : (
        <SignIn />
      )}
      <Messages />
    </>
  );
}
