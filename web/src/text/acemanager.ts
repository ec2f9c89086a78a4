// The ACEmanager button: which of its states, and what it says. Pure.

import type { GatewayKind, GatewayPage, RemoteSession } from '../api/types';
import { clock, duration, moment, roughly } from './format';

export interface ButtonInput {
  page: GatewayPage | undefined;
  kind: GatewayKind;
  name: string; // of who looks
  role: string;
  /** Viewers look at the page, and cannot have a tunnel brought up. */
  mayOperate: boolean;
  hasCheckedIn: boolean;
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

function closed(input: ButtonInput, name: string): ButtonState {
  const alarm = `Tunnel ${input.tunnelSince === null ? 'has never been up' : `down for ${duration(input.now - input.tunnelSince)}`}.`;
  const why = input.page?.why?.trim() ?? '';
  const last = input.tunnelError ? `Last: ${input.tunnelError.replace(/\.$/, '')}.` : why.endsWith(':') ? '' : why;
  if (input.kind !== 'amm' || !input.hasCheckedIn) {
    const cure = input.kind === 'amm' ? 'It can be brought up after the first check-in.' : 'This router joins by itself; it cannot be asked to.';
    return { kind: 'unavailable', text: name, alarm, note: [last, cure].filter(Boolean).join(' ') };
  }
  if (!input.mayOperate) {
    return { kind: 'unavailable', text: name, alarm, note: `You are a ${input.role} in ${input.branch}. Ask an administrator of ${input.branch} for the operator role, to bring it up.` };
  }
  return { kind: 'closed', text: 'Bring tunnel up and open', alarm, note: last || 'It is ordered for the next check-in.' };
}

export function buttonState(input: ButtonInput): ButtonState {
  const { page, session, now } = input;
  const name = pageName(input.kind);
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
  if (!input.tunnelUp || page?.state === 'tunnel-down' || page?.state === 'waiting') return closed(input, name);
  if (!input.mayOperate) return { kind: 'ready', text: name, note: `Through the tunnel, signed in as ${input.name} (${input.role}): you can look, and change nothing.` };
  const signed = input.kind === 'openvpn' ? '' : `, signed in as ${input.name} (${input.role})`;
  return { kind: 'ready', text: name, note: `Through the tunnel${signed}.` };
}
