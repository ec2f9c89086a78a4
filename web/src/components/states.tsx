// What is shown where there is nothing yet, nothing any more, or something is wrong.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ApiError } from '../api/client';
import type { LampState } from '../api/types';
import { number } from '../text/format';
import { Button } from './button';
import { Icon, type IconName } from './icon';
import { Lamp } from './lamp';

/** A strip with a state: `title` in bold, then what it means and what to do. */
export function Note(props: { state: LampState | 'info'; title: ComponentChildren; children?: ComponentChildren; action?: ComponentChildren; role?: 'status' | 'alert' }) {
  return (
    <div class={`note ${props.state}`} role={props.role}>
      {props.state === 'info' ? <Icon name="info" /> : <Lamp state={props.state} />}
      <div class="note-text">
        <p class="note-title">{props.title}</p>
        {props.children}
      </div>
      {props.action}
    </div>
  );
}

/** `title`: what was not done. The server's own words say why and what to do. */
export function ErrorNote(props: { error: ApiError; title: string; onRetry?: () => void }) {
  const { error } = props;
  return (
    <Note state="down" role="alert" title={props.title} action={props.onRetry && <Button size="small" onClick={props.onRetry}>Try again</Button>}>
      <p>{error.message}</p>
      {typeof error.body['cure'] === 'string' && error.body['cure'] !== '' && <p>{error.body['cure']}</p>}
      {error.retryAfter !== null && <p>The server asks to wait {number(error.retryAfter)} s.</p>}
      <p class="small">{error.status > 0 ? `Error ${error.status}, ${error.code}` : error.code}</p>
    </Note>
  );
}

export function EmptyState(props: { icon: IconName; title: string; children?: ComponentChildren; actions?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={props.icon} />
      <p class="empty-title">{props.title}</p>
      {props.children && <p>{props.children}</p>}
      {props.actions && <div class="row wrap center">{props.actions}</div>}
    </div>
  );
}

/** Grey bars in the real layout; not before 300 ms, so that quick answers do not flicker. */
export function Skeleton({ lines = 4, label }: { lines?: number; label: string }) {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 300);
    return () => clearTimeout(timer);
  }, []);
  const widths = ['62%', '84%', '48%', '72%', '56%', '78%'];
  return (
    <div class={`skeleton ${isShown ? 'shown' : ''}`} role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} class="bone" style={{ width: widths[i % widths.length] }} />
      ))}
    </div>
  );
}

/** Data, or why there is none yet: for cards and pages. */
export function Loaded<T>(props: {
  resource: { data: T | undefined; error: ApiError | null; reload: () => void };
  what: string;
  lines?: number;
  children: (data: T) => ComponentChildren;
}) {
  const { data, error, reload } = props.resource;
  if (data !== undefined) {
    return (
      <>
        {error && <ErrorNote error={error} title={`${props.what} may be old.`} onRetry={reload} />}
        {props.children(data)}
      </>
    );
  }
  if (error) return <ErrorNote error={error} title={`${props.what} could not be read.`} onRetry={reload} />;
  return <Skeleton lines={props.lines ?? 4} label={`Loading: ${props.what}`} />;
}
