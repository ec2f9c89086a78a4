// Tables: one tab stop; arrows move between rows, Enter opens, Space selects. Long ones are virtual.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './icon';
import { useShortcut } from '../state/shortcuts';
import { scrollToRow, usePixels, useVirtual } from './virtual';

export interface Column<T> {
  key: string;
  title: ComponentChildren;
  /** Units and the like, on hover. */
  hint?: string;
  align?: 'end';
  /** Columns beside each other with the same group get one head above. */
  group?: string;
  width?: string;
  /** Stays in view when the table scrolls sideways. */
  pin?: 'start' | 'end';
  sortable?: boolean;
  wrap?: boolean;
  /** `tab`: tabIndex for controls in the cell. */
  render: (row: T, tab: number) => ComponentChildren;
}

export interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  /** Rows of one height in a scroller of their own; else as high as their content. */
  virtual?: boolean;
  /** In all, if not all of them are read yet; onMore asks for more near the end. */
  total?: number;
  onMore?: () => void;
  /** Rows that are in view, as they change. */
  onRange?: (first: number, last: number) => void;
  /** Virtual rows of two lines instead of one. */
  tall?: boolean;
  /** Gets what moves to a row by its number. */
  jump?: { current: ((index: number) => void) | null };
  onOpen?: (row: T) => void;
  selected?: (row: T) => boolean;
  onSelect?: (row: T) => void;
  sort?: { key: string; descending: boolean };
  onSort?: (key: string) => void;
  rowClass?: (row: T) => string | undefined;
  /** j and k move here; one table of a page. */
  keys?: boolean;
  busy?: boolean;
  onActive?: (row: T | null) => void;
}

function Head<T>({ columns, sort, onSort }: Pick<TableProps<T>, 'columns' | 'sort' | 'onSort'>) {
  const groups: { name: string; span: number }[] = [];
  for (const column of columns) {
    const last = groups[groups.length - 1];
    if (last && last.name === (column.group ?? '')) last.span++;
    else groups.push({ name: column.group ?? '', span: 1 });
  }
  const hasGroups = groups.some((one) => one.name !== '');
  return (
    <thead>
      {hasGroups && (
        <tr class="groups">
          {groups.map((one, i) => (
            <th key={i} colSpan={one.span} scope="colgroup" class={i > 0 ? 'edge' : undefined}>
              {one.name}
            </th>
          ))}
        </tr>
      )}
      <tr>
        {columns.map((column, i) => {
          const isSorted = sort?.key === column.key;
          const isEdge = hasGroups && i > 0 && column.group !== columns[i - 1]?.group;
          return (
            <th
              key={column.key}
              scope="col"
              title={column.hint}
              class={[column.align, column.pin && `pin-${column.pin}`, isEdge && 'edge'].filter(Boolean).join(' ') || undefined}
              style={column.width ? { width: column.width } : undefined}
              aria-sort={isSorted ? (sort?.descending ? 'descending' : 'ascending') : undefined}
            >
              {column.sortable && onSort ? (
                <button type="button" class="sort" onClick={() => onSort(column.key)}>
                  {column.title}
                  {isSorted && <Icon name={sort?.descending ? 'down' : 'up'} />}
                </button>
              ) : (
                column.title
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

export function Table<T>(props: TableProps<T>) {
  const { columns, rows, rowKey, virtual } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const height = usePixels(props.tall ? '--row-tall' : '--row');
  const [active, setActive] = useState(0);
  const head = virtual ? (body.current?.offsetTop ?? 30) : 0;
  const [first, last] = useVirtual(scroller, rows.length, height, 0);
  const [from, to] = virtual ? [first, last] : [0, rows.length];
  const at = Math.min(active, Math.max(0, rows.length - 1));
  const wanted = useRef<number | null>(null); // row that is to get the focus
  const [, redraw] = useState(0);

  useEffect(() => {
    if (virtual && to >= rows.length - 10 && rows.length < (props.total ?? 0)) props.onMore?.();
  }, [to, rows.length, props.total]);
  useEffect(() => props.onRange?.(from, to), [from, to]);
  useEffect(() => {
    if (wanted.current === null) return;
    const row = body.current?.querySelector<HTMLElement>(`tr[aria-rowindex="${wanted.current + 1}"]`);
    if (!row) return; // far away: it is drawn when the scroller is there
    wanted.current = null;
    row.focus({ preventScroll: virtual === true });
  });

  const go = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    wanted.current = next;
    setActive(next);
    redraw((n) => n + 1); // also if it was the active one: it gets the focus
    if (virtual) scrollToRow(scroller.current, next, height, head);
    props.onActive?.(rows[next] ?? null);
  };
  if (props.jump) props.jump.current = go;
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at];
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / height) - 2);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + page, PageUp: at - page };
    const to = steps[event.key];
    const isOnRow = event.target instanceof HTMLTableRowElement;
    if (to !== undefined && isOnRow) go(to);
    else if (event.key === 'Enter' && isOnRow && row !== undefined && props.onOpen) props.onOpen(row);
    else if (event.key === ' ' && isOnRow && row !== undefined && props.onSelect) props.onSelect(row);
    else return;
    event.preventDefault();
  };
  useShortcut('j', 'Next row', () => go(document.activeElement instanceof HTMLTableRowElement ? at + 1 : at), props.keys === true);
  useShortcut('k', 'Previous row', () => go(at - 1), props.keys === true);

  return (
    <div class={`table-box ${virtual ? 'virtual' : ''} ${props.tall ? 'tall' : ''}`} ref={scroller} role={virtual ? undefined : 'group'}>
      <table role="grid" aria-label={props.label} aria-rowcount={props.total ?? rows.length} aria-busy={props.busy || undefined} onKeyDown={onKeyDown}>
        <Head columns={columns} sort={props.sort} onSort={props.onSort} />
        <tbody ref={body}>
          {from > 0 && <tr aria-hidden="true" class="gap" style={{ height: `${from * height}px` }} />}
          {rows.slice(from, to).map((row, i) => {
            const index = from + i;
            const isActive = index === at;
            return (
              <tr
                key={rowKey(row)}
                tabIndex={isActive ? 0 : -1}
                aria-rowindex={index + 1}
                aria-selected={props.selected ? props.selected(row) : undefined}
                class={[props.onOpen && 'opens', props.rowClass?.(row)].filter(Boolean).join(' ') || undefined}
                onFocus={() => {
                  if (!isActive) setActive(index);
                  props.onActive?.(row);
                }}
              >
                {columns.map((column, c) => {
                  const isEdge = c > 0 && column.group !== columns[c - 1]?.group;
                  const names = [column.align, column.pin && `pin-${column.pin}`, isEdge && 'edge', column.wrap && 'wraps'];
                  const Cell = c === 0 ? 'th' : 'td';
                  return (
                    <Cell key={column.key} scope={c === 0 ? 'row' : undefined} class={names.filter(Boolean).join(' ') || undefined}>
                      {column.render(row, isActive ? 0 : -1)}
                    </Cell>
                  );
                })}
              </tr>
            );
          })}
          {to < rows.length && <tr aria-hidden="true" class="gap" style={{ height: `${(rows.length - to) * height}px` }} />}
        </tbody>
      </table>
    </div>
  );
}

/** A missing value. */
export const None = () => <span class="dim">–</span>;
