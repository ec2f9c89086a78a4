// The user's own things: preferences, password, logins, API tokens.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api/client';
import type { ApiToken, List, Login, RoleName } from '../api/types';
import { Button, Segments } from '../components/button';
import { Card } from '../components/card';
import { CopyButton } from '../components/copy';
import { ConfirmDialog } from '../components/dialog';
import { Checkbox, PasswordField, Select, TextField } from '../components/field';
import { State } from '../components/lamp';
import { EmptyState, ErrorNote, Loaded, Note } from '../components/states';
import { Table, type Column } from '../components/table';
import { Time } from '../components/time';
import { say } from '../state/messages';
import { now } from '../state/now';
import { preferences, setPreferences, type Preferences } from '../state/preferences';
import { useAction, useResource } from '../state/resource';
import { query } from '../state/router';
import { changePassword, logOut, me, roleName } from '../state/session';
import { usePageTitle } from '../state/title';
import { zone } from '../text/format';

function PreferencesCard() {
  const { theme, keys, filters } = preferences.value;
  return (
    <Card title="Preferences" span={6}>
      <div class="stack-5">
        <div>
          <p class="label" id="theme-label">Colours</p>
          <Segments<Preferences['theme']>
            label="Colours"
            value={theme}
            options={[{ value: 'system', text: 'As the system' }, { value: 'light', text: 'Light' }, { value: 'dark', text: 'Dark' }]}
            onChange={(value) => setPreferences({ theme: value })}
          />
        </div>
        <Checkbox label="Single keys" hint="Such as / for the search and g d for the dashboard; ? shows all. They never work inside fields." checked={keys} onChange={(value) => setPreferences({ keys: value })} />
        {filters.length > 0 && (
          <div>
            <p class="label">Saved filters</p>
            <ul class="stack">
              {filters.map((one) => (
                <li key={one.name + one.query} class="row between">
                  <span>{one.name}</span>
                  <Button kind="row" onClick={() => setPreferences({ filters: filters.filter((each) => each !== one) })}>Remove</Button>
                </li>
              ))}
            </ul>
          </div>
        )}
        <p class="hint">They go with you to every browser. Times are shown in your zone, {zone(now.value)}.</p>
      </div>
    </Card>
  );
}

function PasswordCard() {
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [isTried, setTried] = useState(false);
  const action = useAction();
  const differs = again !== fresh ? 'The two are not the same.' : null;
  const submit = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (differs) return;
    const done = await action.run(async () => {
      await changePassword(old, fresh);
      return true;
    });
    if (!done) return;
    setOld('');
    setFresh('');
    setAgain('');
    setTried(false);
    say('up', 'The password was changed; your other logins have ended');
  };
  const at = (field: string) => (action.error?.field === field ? action.error.message : null);
  return (
    <Card title="Password" span={6}>
      <form class="stack" onSubmit={submit}>
        <input type="text" class="vh" tabIndex={-1} aria-hidden="true" autocomplete="username" value={me.value?.name ?? ''} readOnly />
        {action.error && action.error.field === null && <ErrorNote error={action.error} title="The password was not changed." />}
        <PasswordField label="Password now" value={old} onInput={setOld} required error={at('old')} />
        <PasswordField label="New password" value={fresh} onInput={setFresh} autocomplete="new-password" required hint="At least 10 characters." error={at('new')} />
        <PasswordField label="Once more" value={again} onInput={setAgain} autocomplete="new-password" required error={isTried ? differs : null} />
        <Button type="submit" busy={action.busy}>Change the password</Button>
      </form>
    </Card>
  );
}

function LoginsCard() {
  const logins = useResource('logins', (signal) => api.get<List<Login>>('/logins', { signal }));
  const action = useAction();
  const end = async (one: Login) => {
    if (one.is_this) {
      await logOut();
      return;
    }
    await action.run(() => api.delete(`/logins/${one.id}`));
    logins.reload();
  };
  const columns: Column<Login>[] = [
    { key: 'from', title: 'From', wrap: true, render: (one) => <><span class="mono">{one.remote}</span>{one.is_this && <> <State state="up">this one</State></>}</> },
    { key: 'since', title: 'Since', render: (one) => <Time at={one.created_at} as="moment" /> },
    { key: 'seen', title: 'Last used', render: (one) => <Time at={one.seen_at} /> },
    { key: 'end', title: 'Ends', render: (one) => <Time at={one.expires_at} as="until" /> },
    { key: 'act', title: <span class="vh">Actions</span>, align: 'end', render: (one, tab) => <Button kind="row" tabIndex={tab} onClick={() => void end(one)}>{one.is_this ? 'Log out' : 'End'}</Button> },
  ];
  return (
    <Card title="Logins" span={12} flush>
      {action.error && <ErrorNote error={action.error} title="The login was not ended." />}
      <Loaded resource={logins} what="Your logins">
        {(data) => <Table label="Your logins" columns={columns} rows={data.items} rowKey={(one) => one.id} />}
      </Loaded>
    </Card>
  );
}

function NewToken({ onMade, onClose }: { onMade: (token: ApiToken) => void; onClose: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<RoleName>('viewer');
  const [days, setDays] = useState('90');
  const action = useAction();
  const roles = ['viewer', 'operator', 'tenant-admin', 'system-admin'] as const;
  const submit = async (event: Event) => {
    event.preventDefault();
    const made = await action.run(() => api.post<ApiToken>('/tokens', { name: name.trim(), role, days: Number(days) }));
    if (made) onMade(made);
  };
  const at = (field: string) => (action.error?.field === field ? action.error.message : null);
  return (
    <form class="new-token" onSubmit={submit}>
      <TextField label="Name" value={name} onInput={setName} autofocus required maxLength={64} hint="What it is for: letters, digits, - _ and dots." error={at('name')} />
      <Select<RoleName> label="May at most" value={role} options={roles.map((one) => ({ value: one, text: one.replace('-', ' ') }))} onChange={setRole} hint="And never more than you." error={at('role')} />
      <Select label="Good for" value={days} options={[{ value: '30', text: '30 days' }, { value: '90', text: '90 days' }, { value: '365', text: '1 year' }, { value: '0', text: 'ever' }]} onChange={setDays} />
      {action.error && action.error.field === null && <ErrorNote error={action.error} title="The token was not made." />}
      <div class="row wrap">
        <Button kind="primary" type="submit" busy={action.busy}>Make the token</Button>
        <Button kind="quiet" onClick={onClose}>Make none</Button>
      </div>
    </form>
  );
}

function TokensCard() {
  const tokens = useResource('tokens', (signal) => api.get<List<ApiToken>>('/tokens', { signal }));
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<ApiToken | null>(null);
  const [removing, setRemoving] = useState<ApiToken | null>(null);
  const action = useAction();
  const remove = async (one: ApiToken) => {
    const done = await action.run(async () => {
      await api.delete(`/tokens/${one.id}`);
      return true;
    });
    if (!done) return;
    setRemoving(null);
    say('resting', `The token ${one.name} is removed`);
    tokens.reload();
  };
  const columns: Column<ApiToken>[] = [
    { key: 'name', title: 'Name', wrap: true, render: (one) => <b>{one.name}</b> },
    { key: 'user', title: 'Of', wrap: true, render: (one) => one.user_name },
    { key: 'role', title: 'May', render: (one) => one.role.replace('-', ' ') },
    { key: 'used', title: 'Last used', render: (one) => (one.used_at === 0 ? <span class="dim">never</span> : <Time at={one.used_at} />) },
    { key: 'end', title: 'Ends', render: (one) => (one.expires_at === 0 ? 'never' : one.expires_at < now.value ? <State state="down">ended</State> : <Time at={one.expires_at} as="moment" />) },
    { key: 'act', title: <span class="vh">Actions</span>, align: 'end', render: (one, tab) => <Button kind="row" tabIndex={tab} onClick={() => setRemoving(one)}>Remove</Button> },
  ];
  return (
    <Card title="API tokens" span={12} flush end={!isMaking && <Button icon="plus" onClick={() => setMaking(true)}>New token</Button>}>
      {made?.token && (
        <Note state="up" role="status" title={`The token ${made.name}, shown this once`} action={<Button size="small" onClick={() => setMade(null)}>I have it</Button>}>
          <p class="row wrap"><code class="mono secret">{made.token}</code><CopyButton text={made.token} what="token" /></p>
          <p>Programs send it as <span class="mono">Authorization: Bearer</span>. Keep it as you keep a password.</p>
        </Note>
      )}
      {isMaking && <NewToken onClose={() => setMaking(false)} onMade={(token) => { setMade(token); setMaking(false); tokens.reload(); }} />}
      <Loaded resource={tokens} what="The tokens">
        {(data) =>
          data.items.length === 0 ? (
            <EmptyState icon="key" title="No token yet">A token lets a program use the API with your rights, or fewer.</EmptyState>
          ) : (
            <Table label="API tokens" columns={columns} rows={data.items} rowKey={(one) => one.id} />
          )
        }
      </Loaded>
      {removing && (
        <ConfirmDialog title={`Remove the token ${removing.name}?`} act="Remove" keep="Keep the token" danger busy={action.busy} error={action.error} onConfirm={() => void remove(removing)} onClose={() => setRemoving(null)}>
          <p>Whatever uses it is refused from now on. It cannot be brought back; a new one can be made.</p>
        </ConfirmDialog>
      )}
    </Card>
  );
}

/** Scrolls to the part that a menu named. */
function Part({ name, children }: { name: string; children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const isWanted = query.value.get('part') === name;
  useEffect(() => {
    if (isWanted) box.current?.scrollIntoView({ block: 'start' });
  }, [isWanted]);
  return (
    <div ref={box} class="part" id={name}>
      {children}
    </div>
  );
}

export default function Profile() {
  usePageTitle('Profile');
  return (
    <>
      <div class="head">
        <div>
          <h1>{me.value?.name}</h1>
          <p class="sec">{roleName.value}</p>
        </div>
        <div class="actions">
          <Button icon="out" onClick={() => void logOut()}>Log out</Button>
        </div>
      </div>
      <div class="grid">
        <PreferencesCard />
        <PasswordCard />
        <Part name="logins"><LoginsCard /></Part>
        <Part name="tokens"><TokensCard /></Part>
      </div>
    </>
  );
}
