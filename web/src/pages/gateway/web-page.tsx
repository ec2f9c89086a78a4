// The card with the ACEmanager button, in all its states.

import { useEffect, useRef, useState } from 'preact/hooks';
import { api, asApiError, isAbort, type ApiError } from '../../api/client';
import type { GatewayWhole, List, PageCredentials, PageKey, RemoteSession } from '../../api/types';
import { Button } from '../../components/button';
import { Card, Facts, Tag } from '../../components/card';
import { ConfirmDialog, Dialog } from '../../components/dialog';
import { PasswordField, TextField } from '../../components/field';
import { Lamp, State } from '../../components/lamp';
import { ErrorNote, Note } from '../../components/states';
import { Time } from '../../components/time';
import { announce, say } from '../../state/messages';
import { now } from '../../state/now';
import { asTunnelDown, endSession, GatewayTab, newTicket, openSession } from '../../state/remote';
import { useAction, useResource, type Resource } from '../../state/resource';
import { query, setQuery } from '../../state/router';
import { me, roleName } from '../../state/session';
import { useShortcut } from '../../state/shortcuts';
import { useLive } from '../../state/stream';
import { buttonState, pageName } from '../../text/acemanager';
import { plural } from '../../text/format';

/** "ab12 cd34 …": the first bytes are what people compare. */
const short = (key: string) => `${key.slice(0, 16).replace(/(.{4})(?=.)/g, '$1 ')} …`;

function KeyChanged({ gateway, pageKey, mayAccept, onAccepted }: { gateway: GatewayWhole; pageKey: PageKey | undefined; mayAccept: boolean; onAccepted: () => void }) {
  const [isAsking, setAsking] = useState(false);
  const action = useAction();
  const fresh = pageKey?.new ?? gateway.page?.new_key;
  const why = mayAccept ? (fresh ? undefined : 'The new key is not known yet: use Test') : 'An administrator of the branch may accept it';
  const accept = async () => {
    const done = await action.run(async () => {
      await api.post(`/gateways/${gateway.id}/page-key`, { sha256: fresh });
      return true;
    });
    if (!done) return;
    setAsking(false);
    say('up', `The new key of ${gateway.name} is known from now on`);
    onAccepted();
  };
  return (
    <>
      <Note state="down" role="alert" title="The page has another key" action={<Button size="small" onClick={() => setAsking(true)} why={why}>Look</Button>}>
        <p>After a factory reset or a swap of the gateway this is right. Else somebody may stand in between.</p>
      </Note>
      {isAsking && fresh && (
        <ConfirmDialog title={`Accept the new key of ${gateway.name}?`} act="Accept the new key" keep="Keep the old key" danger busy={action.busy} error={action.error} onConfirm={() => void accept()} onClose={() => setAsking(false)}>
          <Facts
            rows={[
              ['Known', pageKey?.sha256 ? <><span class="mono">{short(pageKey.sha256)}</span>{pageKey.at !== null && <>, since <Time at={pageKey.at} as="moment" /></>}</> : 'none'],
              ['Now', <span class="mono">{fresh}</span>],
            ]}
          />
          <p>Compare it with what the gateway shows on its LAN, under Security. Who has the wrong key here reads what you type there.</p>
        </ConfirmDialog>
      )}
    </>
  );
}

/** Name and password of another maker's page, kept by the server and never shown again. */
function Credentials({ gateway, mayChange }: { gateway: GatewayWhole; mayChange: boolean }) {
  const path = `/gateways/${gateway.id}/page-credentials`;
  const known = useResource(path, (signal) => api.get<PageCredentials>(path, { signal }));
  const [isOpen, setOpen] = useState(false);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const action = useAction();
  const put = async (work: () => Promise<unknown>) => {
    const done = await action.run(async () => {
      await work();
      return true;
    });
    if (!done) return;
    setOpen(false);
    setPassword('');
    known.reload();
  };
  if (!known.data) return null;
  return (
    <>
      <p class="row between">
        <span class="dim">Signed in by the server</span>
        <span>
          {known.data.set ? <>yes{known.data.at !== null && <>, set <Time at={known.data.at} as="moment" /></>}</> : 'no'}
          {mayChange && <> <Button kind="row" onClick={() => setOpen(true)}>Change</Button></>}
        </span>
      </p>
      {isOpen && (
        <Dialog
          title={`Sign-in on the page of ${gateway.name}`}
          onClose={() => setOpen(false)}
          footer={
            <>
              {known.data.set && <Button kind="danger-quiet" class="first" onClick={() => void put(() => api.delete(path))}>Forget them</Button>}
              <Button onClick={() => setOpen(false)}>Leave it</Button>
              <Button kind="primary" busy={action.busy} why={user === '' ? 'Give a user name first' : undefined} onClick={() => void put(() => api.put(path, { type: 'basic', user, password }))}>Save</Button>
            </>
          }
        >
          <div class="stack">
            <p class="sec">For pages that ask by HTTP (Basic). They are sent through the tunnel only, and nobody can read them here again.</p>
            <TextField label="User name" value={user} onInput={setUser} autofocus />
            <PasswordField label="Password" value={password} onInput={setPassword} autocomplete="new-password" />
            {action.error && <ErrorNote error={action.error} title="They were not saved." />}
          </div>
        </Dialog>
      )}
    </>
  );
}

/** Opens the page, waits for the tunnel if need be, and can be stopped. */
function useOpening(gateway: GatewayWhole, sessions: Resource<List<RemoteSession>>) {
  const [isOpening, setOpening] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [waitingFor, setWaitingFor] = useState<string | null>(null);
  const [expected, setExpected] = useState<number | undefined>(undefined);
  const tab = useRef<GatewayTab | null>(null);
  const abort = useRef<AbortController | null>(null);
  const title = `${pageName(gateway.kind)} of ${gateway.name}`;

  const fail = (thrown: unknown) => {
    tab.current?.close();
    tab.current = null;
    if (!isAbort(thrown)) setError(asApiError(thrown));
  };
  const enter = async (session: RemoteSession) => {
    const made = session.ticket && session.enter ? { ticket: session.ticket, enter: session.enter } : await newTicket(session.id);
    (tab.current ?? new GatewayTab(title, 'Opening')).enter(made.enter, made.ticket);
    tab.current = null;
    setWaitingFor(null);
    sessions.reload();
  };
  const wait = (session: RemoteSession) => {
    setExpected(session.expected_wait);
    setWaitingFor(session.id);
    tab.current?.say(title, `${gateway.name}: its tunnel is ordered for the next check-in. The page opens here by itself. Close this tab to stop waiting.`);
    announce(`${gateway.name}: waiting for the tunnel`);
    sessions.reload();
  };
  const start = async (work: (signal: AbortSignal) => Promise<RemoteSession>) => {
    if (isOpening) return;
    const stop = (abort.current = new AbortController());
    tab.current = new GatewayTab(title, `${gateway.name}: checking the tunnel`);
    setOpening(true);
    setError(null);
    try {
      const session = await work(stop.signal);
      if (session.state === 'waiting') wait(session);
      else await enter(session);
    } catch (thrown) {
      fail(thrown);
    } finally {
      setOpening(false);
    }
  };
  /** One click: the page if the tunnel is up, else the tunnel first. */
  const open = (reason: string, isDown: boolean) =>
    start(async (signal) => {
      try {
        return await openSession(gateway.id, reason, isDown, signal);
      } catch (thrown) {
        if (asTunnelDown(thrown)?.canOrder !== true || isDown) throw thrown;
        return openSession(gateway.id, reason, true, signal);
      }
    });
  const back = (session: RemoteSession) => start(async () => ({ ...session, ...(await newTicket(session.id)) }));
  const stop = async () => {
    abort.current?.abort();
    const id = waitingFor;
    setWaitingFor(null);
    tab.current?.close();
    tab.current = null;
    if (id !== null) await endSession(id).catch(() => undefined);
    sessions.reload();
  };

  const found = sessions.data?.items.find((one) => one.id === waitingFor);
  useEffect(() => {
    if (found?.state === 'ready') void enter(found).catch(fail);
    if (found?.state === 'ended') setWaitingFor(null);
  }, [found?.state]);
  useEffect(() => {
    if (waitingFor === null) return undefined;
    const timer = setInterval(() => {
      if (tab.current?.isClosed) void stop();
      else sessions.reload();
    }, 5000);
    return () => clearInterval(timer);
  }, [waitingFor]);
  useShortcut('Escape', 'Stop waiting', () => void stop(), isOpening || waitingFor !== null);
  return { isOpening, error, waitingFor, expected, open, back, stop };
}

export function WebPage(props: {
  gateway: GatewayWhole;
  sessions: Resource<List<RemoteSession>>;
  mayOperate: boolean;
  mayAdminister: boolean;
  branch: string;
  onChange: () => void;
}) {
  const { gateway, sessions } = props;
  const { page } = gateway;
  const [reason, setReason] = useState('');
  const opening = useOpening(gateway, sessions);
  const pageKey = useResource(`key ${gateway.id} ${page?.state} ${page?.new_key ?? ''}`, (signal) => api.get<PageKey>(`/gateways/${gateway.id}/page-key`, { signal }));
  const ending = useAction();
  const name = me.value?.name ?? '';
  const mine = (sessions.data?.items ?? []).filter((one) => one.operator === name && one.state !== 'ended' && !one.forward);
  const session = mine.find((one) => one.id === opening.waitingFor) ?? mine.find((one) => one.state === 'open') ?? mine.find((one) => one.state === 'waiting') ?? null;
  const state = buttonState({
    page,
    kind: gateway.kind,
    name,
    role: roleName.value,
    mayOperate: props.mayOperate,
    hasCheckedIn: gateway.last_checkin !== null,
    branch: props.branch,
    tunnelUp: gateway.tunnel.up,
    tunnelSince: gateway.tunnel.since,
    tunnelError: gateway.tunnel.error,
    session: session && opening.expected !== undefined && session.id === opening.waitingFor ? { ...session, expected_wait: opening.expected } : session,
    isOpening: opening.isOpening,
    now: now.value,
  });
  const isOff = state.kind === 'unavailable' || state.kind === 'key-changed';
  const act = () => {
    if (isOff || state.kind === 'busy' || state.kind === 'waiting') return;
    if (state.kind === 'in-use' && session) void opening.back(session);
    else void opening.open(reason.trim(), state.kind === 'closed');
  };
  const end = async (id: string) => {
    await ending.run(() => endSession(id));
    sessions.reload();
  };
  useShortcut('o', pageName(gateway.kind), act);
  useLive((event) => {
    if (event.kind === 'remote-session' && event.data['gateway'] === gateway.id) sessions.reload();
  });
  const button = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // from the tree's menu: a tab opens by a click only, so the button gets the focus
    if (query.value.get('do') !== 'open') return;
    setQuery({ do: null });
    button.current?.querySelector('button')?.focus();
    if (navigator.userActivation?.isActive) act();
  }, []);

  const visitors = page?.visitors ?? 0;
  return (
    <Card title="Web page" span={4} class="web-page" end={page && <Tag>{page.port === null ? page.scheme.toUpperCase() : `${page.scheme.toUpperCase()} ${page.port}`}</Tag>}>
      <div ref={button} class="stack">
        <Button
          kind={state.kind === 'ready' ? 'primary' : 'default'}
          size="large"
          block
          icon={isOff ? 'lock' : state.kind === 'closed' ? 'tunnel' : 'out'}
          busy={state.kind === 'busy' || state.kind === 'waiting'}
          why={isOff ? state.note : undefined}
          aria-describedby="ace-note"
          onClick={act}
        >
          {state.text}
        </Button>
        <p class="small sec ace-note" id="ace-note">
          {state.alarm && (
            <>
              <Lamp state="down" size="tiny" /> <b>{state.alarm}</b>{' '}
            </>
          )}
          {state.note}{' '}
          {state.kind === 'waiting' && session && <Button kind="row" onClick={() => void (opening.waitingFor ? opening.stop() : end(session.id))}>Stop waiting</Button>}
          {state.kind === 'in-use' && session && <Button kind="row" busy={ending.busy} onClick={() => void end(session.id)}>End it</Button>}
        </p>
        {opening.error && <ErrorNote error={opening.error} title={`${pageName(gateway.kind)} was not opened.`} />}
        {state.kind === 'key-changed' && <KeyChanged gateway={gateway} pageKey={pageKey.data} mayAccept={props.mayAdminister} onAccepted={props.onChange} />}
        <Facts
          wide
          rows={[
            gateway.kind !== 'openvpn' && ['ACEmanager remote access (WAN)', <State state="resting" plain>closed, not needed</State>],
            pageKey.data?.at ? ['Page key', <>known since <Time at={pageKey.data.at} as="moment" /></>] : null,
            ['On the page now', plural(visitors, 'visitor')],
          ]}
        />
        {gateway.kind === 'openvpn' && <Credentials gateway={gateway} mayChange={props.mayAdminister} />}
        {(state.kind === 'ready' || state.kind === 'closed') && (
          <TextField label="Reason or ticket" optional value={reason} onInput={setReason} placeholder="Kept in the audit log" maxLength={200} />
        )}
      </div>
    </Card>
  );
}
