// The one way to the server. Answers are JSON; whatever went wrong is an ApiError that can be shown as it is.

import type { List } from './types';

/** Status 0: no answer came (`code` says "unreachable" or "timeout"). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    text: string,
    readonly field: string | null = null,
    readonly retryAfter: number | null = null,
    /** The whole answer: some errors carry more members. */
    readonly body: Readonly<Record<string, unknown>> = {},
  ) {
    super(text);
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** What is thrown, as an error that has a text for a person. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'console', `The console could not do it: ${error instanceof Error ? error.message : String(error)}.`);
}

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Options {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
  /** In ms; default 30 s. Some requests wait for a gateway. */
  timeout?: number;
  /** 401 is an answer here, not the end of the login. */
  isLogin?: boolean;
}

let whenUnauthorised: () => void = () => undefined;
let skew = 0; // server minus this machine, in ms

/** Called when the server no longer knows the login. */
export function onUnauthorised(handler: () => void): void {
  whenUnauthorised = handler;
}

/** Seconds since 1970 by the server's clock, as far as its answers tell. */
export function serverNow(): number {
  return (Date.now() + skew) / 1000;
}

function note(response: Response): void {
  const date = Date.parse(response.headers.get('date') ?? '');
  if (Number.isFinite(date) && Math.abs(date - Date.now() - skew) > 2000) skew = date - Date.now();
}

export function pathWith(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

function asError(response: Response, body: unknown): ApiError {
  const json = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const wait = Number(response.headers.get('retry-after'));
  const text = typeof json['text'] === 'string' ? json['text'] : `The server answered ${response.status}.`;
  return new ApiError(
    response.status,
    typeof json['error'] === 'string' ? json['error'] : 'http',
    text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.'),
    typeof json['field'] === 'string' ? json['field'] : null,
    wait > 0 ? wait : null,
    json,
  );
}

async function fetchOnce(method: string, path: string, options: Options): Promise<Response> {
  const abort = new AbortController();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    abort.abort();
  }, options.timeout ?? 30000);
  const stop = () => abort.abort();
  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-AMM-Request'] = '1';
  const isRaw = options.body instanceof Blob;
  if (options.body !== undefined) headers['Content-Type'] = isRaw ? 'application/octet-stream' : 'application/json';
  try {
    const response = await fetch(pathWith(`/api/v1${path}`, options.query), {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: abort.signal,
      ...(options.body === undefined ? {} : { body: isRaw ? (options.body as Blob) : JSON.stringify(options.body) }),
    });
    note(response);
    return response;
  } catch (error) {
    if (isLate) {
      throw new ApiError(0, 'timeout', 'The server took too long to answer. Whether it was done is not known: look, then try again.');
    }
    if (isAbort(error)) throw error;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached from this browser. Nothing was changed. Check the network, then try again.');
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
  }
}

const pause = (seconds: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new DOMException('aborted', 'AbortError'));
    });
  });

/** A reading request that is told to come again in a few seconds does so by itself; a change never does. */
async function send(method: string, path: string, options: Options): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const response = await fetchOnce(method, path, options);
    const wait = Number(response.headers.get('retry-after'));
    const isBusy = response.status === 429 || response.status === 503;
    if (method !== 'GET' || !isBusy || attempt === 2 || !(wait > 0 && wait <= 5)) return response;
    await pause(wait, options.signal);
  }
}

async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  const text = response.status === 204 ? '' : await response.text();
  let body: unknown;
  try {
    body = isJson && text !== '' ? JSON.parse(text) : undefined;
  } catch {
    throw new ApiError(response.status, 'not-json', 'The answer of the server was cut off. Try again.');
  }
  if (response.ok) return body as T;
  if (response.status === 401 && !options.isLogin) whenUnauthorised();
  throw asError(response, body);
}

export const api = {
  get: <T>(path: string, options?: Options) => request<T>('GET', path, options),
  post: <T>(path: string, body: unknown = {}, options?: Options) => request<T>('POST', path, { ...options, body }),
  put: <T>(path: string, body: unknown = {}, options?: Options) => request<T>('PUT', path, { ...options, body }),
  patch: <T>(path: string, body: unknown = {}, options?: Options) => request<T>('PATCH', path, { ...options, body }),
  delete: <T>(path: string, options?: Options) => request<T>('DELETE', path, options),

  /** A file to be saved by the browser (a link to the API would carry no error to a person). */
  async download(path: string, fallbackName: string, options: Options = {}): Promise<void> {
    const response = await send('GET', path, { timeout: 120000, ...options });
    if (!response.ok) {
      if (response.status === 401) whenUnauthorised();
      throw asError(response, await response.json().catch(() => undefined));
    }
    const named = /filename="([^"\\/]+)"/.exec(response.headers.get('content-disposition') ?? '');
    saveFile(await response.blob(), named?.[1] ?? fallbackName);
  },

  /** All pages of a list, up to `most` items. */
  async all<T>(path: string, options: Options = {}, most = 20000): Promise<T[]> {
    const items: T[] = [];
    let after: string | undefined;
    do {
      const page: List<T> = await request('GET', path, { ...options, query: { limit: 1000, ...options.query, after } });
      items.push(...page.items);
      after = page.next;
    } while (after !== undefined && items.length < most);
    return items;
  },
};

export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
