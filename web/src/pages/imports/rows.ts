// The rows of a sheet: read on until all are there, so that the next refused row is found at once.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, asApiError, isAbort, type ApiError } from '../../api/client';
import type { ImportRow } from '../../api/shapes';
import type { List } from '../../api/types';

const FIRST = 100;
const PAGE = 1000;
const MOST = 100000;

export interface SheetRows {
  rows: ImportRow[];
  loading: boolean;
  error: ApiError | null;
  reload: () => void;
}

/** `version` changes when the sheet was judged anew. */
export function useSheetRows(id: string, verdict: string, version: string): SheetRows {
  const [state, setState] = useState<{ rows: ImportRow[]; loading: boolean; error: ApiError | null }>({ rows: [], loading: true, error: null });
  const [turn, setTurn] = useState(0);
  const shown = useRef('');
  useEffect(() => {
    const abort = new AbortController();
    const read = async () => {
      const rows: ImportRow[] = [];
      let after: string | undefined;
      do {
        const page: List<ImportRow> = await api.get(`/imports/${id}/rows`, {
          query: { verdict, after, limit: after === undefined ? FIRST : PAGE },
          signal: abort.signal,
        });
        rows.push(...page.items);
        after = page.next;
        setState({ rows: [...rows], loading: after !== undefined, error: null });
      } while (after !== undefined && rows.length < MOST && !abort.signal.aborted);
    };
    const isOther = shown.current !== verdict;
    shown.current = verdict;
    setState((old) => ({ rows: isOther ? [] : old.rows, loading: true, error: null }));
    read().catch((error: unknown) => {
      if (!isAbort(error)) setState((old) => ({ ...old, loading: false, error: asApiError(error) }));
    });
    return () => abort.abort();
  }, [id, verdict, version, turn]);
  return { ...state, reload: () => setTurn((n) => n + 1) };
}
