// Login, and the new password that follows a one-time one.

import { useState } from 'preact/hooks';
import { asApiError, type ApiError } from '../api/client';
import { Button } from '../components/button';
import { PasswordField, TextField } from '../components/field';
import { Logo } from '../components/icon';
import { State } from '../components/lamp';
import { ErrorNote, Note } from '../components/states';
import { changePassword, logIn, logOut, session } from '../state/session';
import { usePageTitle } from '../state/title';

const LEAST = 10; // as the server has it (password.h)

/** Remembered between the login and the change, so that a one-time password is typed once. */
let typed = '';

function Login({ why }: { why: string | null }) {
  usePageTitle('Sign in');
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [needsCode, setNeedsCode] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      typed = password;
      await logIn(user.trim(), password, code.trim());
    } catch (thrown) {
      const found = asApiError(thrown);
      if (found.code === 'code-needed') setNeedsCode(true);
      else setError(found);
      setBusy(false);
    }
  };
  return (
    <>
      <h1>Sign in</h1>
      {why !== null && !error && <Note state="info" role="status" title={why} />}
      {error && (error.code === 'wrong-login' ? (
        <Note state="down" role="alert" title="Name or password is wrong.">
          <p>Nothing was changed. Outside of the first tenant the name is NAME@TENANT.</p>
        </Note>
      ) : (
        <ErrorNote error={error} title="You are not signed in." />
      ))}
      <form class="stack-5" onSubmit={submit}>
        <TextField label="User name" value={user} onInput={setUser} autocomplete="username" large autofocus required />
        <PasswordField label="Password" value={password} onInput={setPassword} large required hint="First start: the one-time password is in the terminal that runs the server." />
        {needsCode && <TextField label="Code of your authenticator" value={code} onInput={setCode} autocomplete="one-time-code" inputMode="numeric" large autofocus required />}
        <Button kind="primary" size="large" block type="submit" busy={busy}>
          Sign in
        </Button>
      </form>
    </>
  );
}

function FirstPassword({ name }: { name: string }) {
  usePageTitle('Choose a password');
  const [old, setOld] = useState(typed);
  const [fresh, setFresh] = useState('');
  const [again, setAgain] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [isTried, setTried] = useState(false);
  const [asksOld] = useState(typed === '');
  const short = [...fresh].length < LEAST ? `At least ${LEAST} characters; it has ${[...fresh].length}.` : null;
  const differs = again !== fresh ? 'The two are not the same.' : null;
  const submit = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (busy || short || differs) return;
    setBusy(true);
    setError(null);
    try {
      await changePassword(old, fresh);
      typed = '';
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };
  return (
    <>
      <h1>Choose a password</h1>
      <p class="sec">The one-time password of {name} is good for this only. From now on yours counts.</p>
      {error && error.field === null && <ErrorNote error={error} title="The password was not changed." />}
      <form class="stack-5" onSubmit={submit}>
        <input type="text" class="vh" tabIndex={-1} aria-hidden="true" autocomplete="username" value={name} readOnly />
        {(asksOld || error?.field === 'old') && (
          <PasswordField label="One-time password" value={old} onInput={setOld} large required autofocus={asksOld} error={error?.field === 'old' ? error.message : null} />
        )}
        <PasswordField
          label="New password"
          value={fresh}
          onInput={setFresh}
          autocomplete="new-password"
          large
          autofocus={!asksOld}
          required
          hint={`At least ${LEAST} characters. A sentence is easy to keep in mind.`}
          error={isTried && short ? short : error?.field === 'new' ? error.message : null}
        />
        <PasswordField label="Once more" value={again} onInput={setAgain} autocomplete="new-password" large required error={isTried && differs ? differs : null} />
        <Button kind="primary" size="large" block type="submit" busy={busy}>
          Set the password
        </Button>
        <Button kind="quiet" block onClick={() => void logOut()}>
          Log out
        </Button>
      </form>
    </>
  );
}

export function SignIn() {
  const current = session.value;
  return (
    <div class="sign-in">
      <main class="sign-in-box" id="main">
        <div class="brand large">
          <Logo size={28} />
          <span>amm</span>
        </div>
        {current.state === 'in' ? <FirstPassword name={current.me.name} /> : <Login why={current.state === 'out' ? current.why : null} />}
      </main>
      <footer class="sign-in-foot">
        {location.protocol === 'https:' ? (
          <State state="up" plain>This server proved its name: {location.host}</State>
        ) : (
          <State state="resting" plain>On this machine only: {location.host}</State>
        )}
      </footer>
    </div>
  );
}
