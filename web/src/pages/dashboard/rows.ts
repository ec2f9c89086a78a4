// The rows of the dashboard's table: read page by page as far as they are looked at, renewed in place when live
// events say so, and never reordered under the reader's pointer.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api, asApiError, isAbort, type ApiError } from '../../api/client';
import type { DashboardPage, DashboardRow, Threshold } from '../../api/shapes';
import { append, merge } from '../../model/dashboard';
import { onLive } from '../../state/stream';

const FIRST = 100; // rows of the first answer, which fill the screen
const PAGE = 500;
const AHEAD = 10000; // so many are read without being asked for, so that the scroll bar tells the truth
const CALM = 1500; // ms between an event and the reading that it causes

export interface Rows {
  columns: Threshold[];
  rows: DashboardRow[];
  total: number;
  loading: boolean;
  error: ApiError | null;
  /** The order that is shown is no longer the one that was asked for. */
  moved: boolean;
  /** Which rows are on the screen: what is missing there is read, what has changed there is renewed. */
  look: (first: number, last: number) => void;
  reload: () => void;
}

interface Loaded {
  key: string;
  columns: Threshold[];
  rows: DashboardRow[];
  total: number;
  next: string | undefined;
  starts: { after: string | undefined; index: number }[]; // of the pages, to read one again
}

const nothing = (key: string): Loaded => ({ key, columns: [], rows: [], total: 0, next: undefined, starts: [] });

/** `query`: the filters, the branch and the order, as the API takes them; null: not known yet. */
export function useRows(query: Record<string, string> | null): Rows {
  const key = JSON.stringify(query);
  const loaded = useRef<Loaded>(nothing(key));
  const window = useRef<[number, number]>([0, 0]);
  const running = useRef<AbortController | null>(null);
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState({ loading: true, error: null as ApiError | null, moved: false, version: 0 });

  const show = (change: Partial<typeof state>) => setState((old) => ({ ...old, ...change, version: old.version + 1 }));

  const read = (after: string | undefined, signal: AbortSignal) =>
    api.get<DashboardPage>('/dashboard', { query: { ...query, limit: after === undefined ? FIRST : PAGE, after }, signal });

  /** Reads on: what is on the screen first, then the rest up to AHEAD. */
  const readOn = useCallback(async () => {
    if (running.current || query === null) return;
    const abort = new AbortController();
    running.current = abort;
    const mine = loaded.current;
    try {
      while (mine.starts.length === 0 || (mine.next !== undefined && mine.rows.length < Math.max(AHEAD, window.current[1] + PAGE))) {
        const after = mine.next;
        const page = await read(after, abort.signal);
        if (loaded.current !== mine) return;
        mine.starts.push({ after, index: mine.rows.length });
        mine.columns = page.columns;
        mine.rows = append(mine.rows, page.items);
        mine.next = page.next;
        mine.total = page.next === undefined ? mine.rows.length : Math.max(page.total ?? mine.total, mine.rows.length);
        show({ loading: false, error: null });
      }
    } catch (error) {
      if (!isAbort(error) && loaded.current === mine) show({ loading: false, error: asApiError(error) });
    } finally {
      if (running.current === abort) running.current = null;
    }
  }, [key]);

  useEffect(() => {
    running.current?.abort();
    running.current = null;
    const old = loaded.current;
    // what was there stays visible while the same question is asked again
    loaded.current = { ...nothing(key), columns: old.columns, ...(old.key === key ? { rows: [] } : {}) };
    show({ loading: true, moved: false });
    void readOn();
    return () => running.current?.abort();
  }, [key, turn]);

  const renew = useCallback(async () => {
    const mine = loaded.current;
    const [first, last] = window.current;
    const pages = mine.starts.filter((one, i) => one.index <= last && (mine.starts[i + 1]?.index ?? Infinity) > first);
    const abort = new AbortController();
    try {
      const fresh: DashboardRow[] = [];
      for (const page of pages) fresh.push(...(await read(page.after, abort.signal)).items);
      if (loaded.current !== mine) return;
      const result = merge(mine.rows, fresh);
      mine.rows = result.rows;
      setState((now) => ({ ...now, moved: now.moved || result.moved, version: now.version + 1 }));
    } catch {
      // the stream says it again, and the frame says that what is seen may be old
    }
  }, [key]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onLive((event) => {
      if (event.kind === 'reset') setTurn((n) => n + 1);
      else if (['gateway', 'tunnel', 'event', 'threshold', 'remote-session'].includes(event.kind)) {
        timer ??= setTimeout(() => {
          timer = undefined;
          if (event.kind === 'threshold') setTurn((n) => n + 1);
          else void renew();
        }, CALM);
      }
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [renew]);

  const look = useCallback((first: number, last: number) => {
    window.current = [first, last];
    if (last + PAGE / 2 >= loaded.current.rows.length && loaded.current.next !== undefined) void readOn();
  }, [readOn]);

  return {
    columns: loaded.current.columns,
    rows: loaded.current.rows,
    total: loaded.current.total,
    loading: state.loading,
    error: state.error,
    moved: state.moved,
    look,
    reload: useCallback(() => setTurn((n) => n + 1), []),
  };
}
