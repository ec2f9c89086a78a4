// The ACEmanager button: which of its states, and what it says. Pure.

import type { GatewayKind, GatewayPage, RemoteSession } from '../api/types';
import { clock, duration, moment, roughly } from './format';

export interface ButtonInput {
  page: GatewayPage | undefined;
  kind: GatewayKind;
  name: string; // of who looks
  role: string;
  mayOperate: boolean;
  /** The branch, for who can help. */
  branch: string;
  tunnelUp: boolean;
  tunnelSince: number | null;
  tunnelError: string | undefined;
  /** The reader's own that has not ended. */
  session: RemoteSession | null;
  isOpening: boolean;
  now: number;
}

export type ButtonKind = 'ready' | 'busy' | 'waiting' | 'in-use' | 'closed' | 'key-changed' | 'unavailable';
export interface ButtonState {
  kind: ButtonKind;
  text: string;
  /** Beside it, always. */
  note: string;
  /** Begins the note, with a red square. */
  alarm?: string;
}

/** Of the page, whatever made it. */
export function pageName(kind: GatewayKind): string {
  return kind === 'openvpn' ? 'Web page' : 'ACEmanager';
}

function waiting(session: RemoteSession, now: number): ButtonState {
  const left = session.expected_wait === undefined ? null : session.opened_at + session.expected_wait - now;
  const text = left === null || left < 0 ? 'Opens as soon as the tunnel is up' : left < 60 ? 'Opens in less than a minute' : `Opens in about ${roughly(left + 30)}`;
  const when = left === null || left < 0 ? 'the next check-in' : `the next check-in, ${clock(now + left)}`;
  return { kind: 'waiting', text, note: `Tunnel ordered for ${when}. You can leave this page.` };
}

export function buttonState(input: ButtonInput): ButtonState {
  const { page, session, now } = input;
  const name = pageName(input.kind);
  if (!input.mayOperate) {
    return { kind: 'unavailable', text: name, note: `You are a ${input.role} in ${input.branch}. Ask an administrator of ${input.branch} for the operator role.` };
  }
  if (input.isOpening) return { kind: 'busy', text: 'Opening, checking the tunnel', note: 'At most a few seconds. Press Esc to stop.' };
  if (session?.state === 'waiting') return waiting(session, now);
  if (page?.state === 'key-changed') {
    return { kind: 'key-changed', text: name, note: 'The page shows another key than the one that is known. Nothing is sent to it until a person has accepted the new one.' };
  }
  if (page?.state === 'unavailable') {
    return { kind: 'unavailable', text: name, note: [page.why, page.cure].filter(Boolean).join(' ') || 'This gateway has no web page that can be opened.' };
  }
  if (session?.state === 'open' && input.tunnelUp) {
    return { kind: 'in-use', text: `Return to ${name}`, note: `Your remote session is open since ${moment(session.entered_at ?? session.opened_at, now)}.` };
  }
  if (!input.tunnelUp || page?.state === 'tunnel-down' || page?.state === 'waiting') {
    const since = input.tunnelSince === null ? 'has never been up' : `down for ${duration(now - input.tunnelSince)}`;
    return {
      kind: 'closed',
      text: 'Bring tunnel up and open',
      alarm: `Tunnel ${since}.`,
      note: input.tunnelError ? `Last: ${input.tunnelError}.` : (page?.why ?? 'It is ordered for the next check-in.'),
    };
  }
  const signed = input.kind === 'openvpn' ? '' : `, signed in as ${input.name} (${input.role})`;
  return { kind: 'ready', text: name, note: `Through the tunnel${signed}.` };
}
