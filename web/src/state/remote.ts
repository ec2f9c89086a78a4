// Opening a gateway's web page in a tab of its own: a ticket, once, by a form that is posted to the gateway's host name.

import { ApiError, api } from '../api/client';
import type { RemoteSession } from '../api/types';

/** A tab that was opened by the click itself (later ones are blocked), and is filled when the ticket is there. It is
 *  cut off from this page before anything of a gateway comes into it. */
export class GatewayTab {
  private readonly name = `amm-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
  private readonly tab: Window | null;

  constructor(title: string, text: string) {
    this.tab = window.open('', this.name);
    this.write(title, text);
  }

  private write(title: string, text: string): void {
    try {
      if (!this.tab) return;
      const page = this.tab.document;
      page.title = title;
      const line = page.createElement('p');
      line.textContent = text;
      line.style.font = '14px system-ui, sans-serif';
      line.style.padding = '24px';
      page.documentElement.style.colorScheme = 'light dark';
      page.body.replaceChildren(line);
    } catch {
      // the reader went elsewhere with it
    }
  }

  say(title: string, text: string): void {
    this.write(title, text);
  }

  get isClosed(): boolean {
    return this.tab?.closed ?? false;
  }

  close(): void {
    this.tab?.close();
  }

  /** Posts the ticket. The gateway's page never gets a hold of this one. */
  enter(url: string, ticket: string): void {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = url;
    form.target = this.tab && !this.tab.closed ? this.name : '_blank';
    if (form.target === '_blank') form.rel = 'noopener noreferrer';
    const field = document.createElement('input');
    field.type = 'hidden';
    field.name = 'ticket';
    field.value = ticket;
    form.append(field);
    document.body.append(form);
    if (this.tab && !this.tab.closed) this.tab.opener = null;
    form.submit();
    form.remove();
  }
}

export interface Opened {
  session: RemoteSession;
  ticket: string | undefined;
  enter: string | undefined;
}

/** The tunnel is down: what the server says about it. */
export interface TunnelDown {
  text: string;
  since: number | null;
  canOrder: boolean;
  wait: number | null;
}

export function asTunnelDown(error: unknown): TunnelDown | null {
  if (!(error instanceof ApiError) || error.code !== 'tunnel-down') return null;
  const number = (value: unknown) => (typeof value === 'number' ? value : null);
  const { since, can_order: canOrder, expected_wait: wait } = error.body;
  return { text: error.message, since: number(since), canOrder: canOrder !== false, wait: number(wait) };
}

export function openSession(gateway: string, reason: string, orderTunnel: boolean, signal: AbortSignal): Promise<RemoteSession> {
  const body = { ...(reason === '' ? {} : { reason }), ...(orderTunnel ? { order_tunnel: true } : {}) };
  return api.post<RemoteSession>(`/gateways/${gateway}/remote-sessions`, body, { signal, timeout: 20000 });
}

export function newTicket(session: string): Promise<{ ticket: string; enter: string }> {
  return api.post(`/remote-sessions/${session}/ticket`);
}

export function endSession(session: string): Promise<void> {
  return api.delete(`/remote-sessions/${session}`);
}
