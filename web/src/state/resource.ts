// Something read from the server for a component: with its states, and again when live events say so.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { asApiError, isAbort, type ApiError } from '../api/client';
import { useLive, type LiveEvent } from './stream';

export interface Resource<T> {
  /** The last answer for this key; stays while it is read again. */
  data: T | undefined;
  error: ApiError | null;
  loading: boolean;
  reload: () => void;
  /** Replaces what is shown, with the answer to a change. */
  set: (data: T) => void;
}

const AGAIN = 400; // ms: several events in a row read once

/** `key` null: nothing to read. `isStale` tells for which events the answer may be another; "reset" always counts. */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  isStale?: (event: LiveEvent) => boolean,
): Resource<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; error: ApiError | null; loading: boolean }>({
    key: null,
    error: null,
    loading: key !== null,
  });
  const [turn, setTurn] = useState(0);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    setState((old) => (old.key === key ? { ...old, loading: true } : { key, error: null, loading: true }));
    latest.current(abort.signal).then(
      (data) => {
        if (!abort.signal.aborted) setState({ key, data, error: null, loading: false });
      },
      (error: unknown) => {
        if (abort.signal.aborted || isAbort(error)) return;
        setState((old) => ({ ...old, key, error: asApiError(error), loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, turn]);

  useEffect(() => () => clearTimeout(timer.current), []);
  useLive((event) => {
    if (key === null || !(event.kind === 'reset' || isStale?.(event))) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setTurn((n) => n + 1), AGAIN);
  });

  const isCurrent = state.key === key;
  return {
    data: isCurrent ? state.data : undefined,
    error: isCurrent ? state.error : null,
    loading: key !== null && (!isCurrent || state.loading),
    reload: useCallback(() => setTurn((n) => n + 1), []),
    set: useCallback((data: T) => setState((old) => ({ ...old, data, error: null })), []),
  };
}

/** A change that a button makes: busy until it is answered, its error until the next attempt. */
export function useAction(): {
  busy: boolean;
  error: ApiError | null;
  clear: () => void;
  run: <T>(work: () => Promise<T>) => Promise<T | undefined>;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const run = useCallback(async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    setBusy(true);
    setError(null);
    try {
      return await work();
    } catch (thrown) {
      if (!isAbort(thrown) && alive.current) setError(asApiError(thrown));
      return undefined;
    } finally {
      if (alive.current) setBusy(false);
    }
  }, []);
  return { busy, error, clear: useCallback(() => setError(null), []), run };
}
