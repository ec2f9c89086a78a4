// The format of Server-Sent Events (WHATWG HTML, 9.2), and how long to wait between attempts. Pure.

export interface ServerEvent {
  id: string;
  kind: string;
  data: string;
}

/** Takes text in pieces of any size; gives back the events that are complete. */
export class SseParser {
  private rest = '';
  private id = '';
  private kind = '';
  private data: string[] = [];
  /** What the server asks for, in ms. */
  retry: number | null = null;

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = this.line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (event) events.push(event);
    }
    return events;
  }

  private line(line: string): ServerEvent | null {
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null; // a comment keeps the line alive
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.kind = value;
    else if (name === 'data') this.data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  private dispatch(): ServerEvent | null {
    const event = { id: this.id, kind: this.kind || 'message', data: this.data.join('\n') };
    const isEmpty = this.data.length === 0;
    this.kind = '';
    this.data = [];
    return isEmpty ? null : event;
  }
}

/** Seconds before attempt n (from 1): 1, 2, 4, ... 30, and up to half of it more, so that not all come at once. */
export function backoff(attempt: number, random: number): number {
  return Math.min(30, 2 ** (attempt - 1)) * (1 + random / 2);
}
