// One connection to /api/v1/events/stream, held open as long as somebody listens. Runs in a SharedWorker, or in the
// tab that leads where there is none.

import { SseParser, backoff, type ServerEvent } from './sse';

export type StreamState =
  | { state: 'off' }
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'lost'; since: number; next: number } // ms since 1970
  | { state: 'ended'; status: number }; // the login is no longer good

export type ToTab = { type: 'event'; event: ServerEvent } | { type: 'state'; state: StreamState };
export type FromTab = { type: 'start' } | { type: 'stop' } | { type: 'now' } | { type: 'bye' };

const SILENCE = 45000; // the server sends a comment every 15 s

export class StreamCore {
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastId = '';
  private attempt = 0;
  private lostSince = 0;
  private isWanted = false;
  state: StreamState = { state: 'off' };

  constructor(private readonly tell: (message: ToTab) => void) {}

  start(): void {
    if (this.isWanted) return;
    this.isWanted = true;
    this.attempt = 0;
    this.lostSince = 0;
    void this.connect();
  }

  stop(): void {
    this.isWanted = false;
    this.lastId = '';
    clearTimeout(this.timer);
    this.abort?.abort();
    this.set({ state: 'off' });
  }

  /** Does not wait for the next attempt. */
  now(): void {
    if (!this.isWanted || this.state.state !== 'lost') return;
    clearTimeout(this.timer);
    void this.connect();
  }

  private set(state: StreamState): void {
    this.state = state;
    this.tell({ type: 'state', state });
  }

  private async connect(): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    if (this.state.state !== 'lost') this.set({ state: 'connecting' });
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' };
      if (this.lastId !== '') headers['Last-Event-ID'] = this.lastId;
      const response = await fetch('/api/v1/events/stream', {
        headers,
        credentials: 'same-origin',
        cache: 'no-store',
        signal: abort.signal,
      });
      if (response.status === 401 || response.status === 403) {
        this.isWanted = false;
        this.set({ state: 'ended', status: response.status });
        return;
      }
      if (response.ok && response.body) await this.read(response.body, abort);
    } catch {
      // whatever it was: it is tried again
    }
    if (this.isWanted && this.abort === abort) this.later();
  }

  private async read(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let silence = setTimeout(() => abort.abort(), SILENCE);
    const wasLost = this.lostSince !== 0;
    this.attempt = 0;
    this.lostSince = 0;
    this.set({ state: 'live' });
    // without an id to go on from, what happened meanwhile is unknown
    if (wasLost && this.lastId === '') this.tell({ type: 'event', event: { id: '', kind: 'reset', data: '{}' } });
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE);
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.id !== '') this.lastId = event.id;
          this.tell({ type: 'event', event });
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  private later(): void {
    this.attempt++;
    this.lostSince ||= Date.now();
    const wait = backoff(this.attempt, Math.random()) * 1000;
    this.set({ state: 'lost', since: this.lostSince, next: Date.now() + wait });
    this.timer = setTimeout(() => void this.connect(), wait);
  }
}
