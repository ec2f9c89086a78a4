// A virtual tree by the ARIA pattern: one tab stop, Up and Down move, Right and Left fold, Enter opens, letters find.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { scrollToRow, usePixels, useVirtual } from './virtual';

export interface TreeItem {
  key: string;
  level: number;
  /** undefined: it cannot be opened. */
  isOpen?: boolean | undefined;
  name: string;
}

export function VirtualTree<T extends TreeItem>(props: {
  label: string;
  rows: readonly T[];
  selected: string | null;
  render: (row: T) => ComponentChildren;
  onOpen: (row: T) => void;
  onFold: (row: T, open: boolean) => void;
  onMenu: (row: T, at: { x: number; y: number }) => void;
  describe?: (row: T) => string;
}) {
  const { rows, selected } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const height = usePixels('--tree-row');
  const id = useId();
  const [active, setActive] = useState<string | null>(selected);
  const [first, last] = useVirtual(scroller, rows.length, height);
  const typed = useRef({ text: '', at: 0 });
  const found = rows.findIndex((row) => row.key === active);
  const at = found >= 0 ? found : Math.max(0, rows.findIndex((row) => row.key === selected));

  const place = rows.findIndex((row) => row.key === selected);
  useEffect(() => {
    if (place < 0) return;
    setActive(selected);
    scrollToRow(scroller.current, place, height, 0, true);
  }, [selected, place >= 0]);

  const go = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(rows[next]?.key ?? null);
    scrollToRow(scroller.current, next, height);
  };
  const parentOf = (index: number) => {
    const level = rows[index]?.level ?? 1;
    for (let i = index - 1; i >= 0; i--) if ((rows[i]?.level ?? 0) < level) return i;
    return index;
  };
  const find = (letter: string) => {
    const now = Date.now();
    const text = (now - typed.current.at < 700 ? typed.current.text : '') + letter.toLowerCase();
    typed.current = { text, at: now };
    const from = text.length === 1 ? at + 1 : at;
    for (let i = 0; i < rows.length; i++) {
      const index = (from + i) % rows.length;
      if (rows[index]?.name.toLowerCase().startsWith(text)) return go(index);
    }
  };
  const menu = () => {
    const row = rows[at];
    const rect = scroller.current?.getBoundingClientRect();
    if (row && rect) props.onMenu(row, { x: rect.left + 40, y: rect.top + (at + 1) * height - (scroller.current?.scrollTop ?? 0) });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / height) - 1);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + page, PageUp: at - page };
    const to = steps[event.key];
    if (to !== undefined) go(to);
    else if (event.key === 'ArrowRight') row.isOpen === false ? props.onFold(row, true) : row.isOpen && go(at + 1);
    else if (event.key === 'ArrowLeft') row.isOpen ? props.onFold(row, false) : go(parentOf(at));
    else if (event.key === ' ' && Date.now() - typed.current.at < 700) find(' ');
    else if (event.key === 'Enter' || event.key === ' ') props.onOpen(row);
    else if (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) menu();
    else if (/^[\p{L}\p{N}]$/u.test(event.key)) find(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  // The active row is in the document even when it was scrolled away, so that its id leads somewhere.
  const shown: number[] = [];
  for (let i = first; i < last; i++) shown.push(i);
  if (rows.length > 0 && (at < first || at >= last)) shown.push(at);
  return (
    <div
      class="tree"
      role="tree"
      aria-label={props.label}
      tabIndex={0}
      ref={scroller}
      aria-activedescendant={rows.length > 0 ? `${id}-${at}` : undefined}
      onKeyDown={onKeyDown}
    >
      <div class="tree-all" role="presentation" style={{ height: `${rows.length * height}px` }}>
        {shown.map((i) => {
          const row = rows[i];
          if (!row) return null;
          return (
            <div
              key={row.key}
              id={`${id}-${i}`}
              role="treeitem"
              class={`tree-row ${i === at ? 'active' : ''}`}
              aria-level={row.level}
              aria-expanded={row.isOpen}
              aria-selected={row.key === selected}
              aria-label={props.describe?.(row)}
              style={{ transform: `translateY(${i * height}px)`, paddingLeft: `${(row.level - 1) * 14 + 4}px` }}
              onClick={() => {
                setActive(row.key);
                props.onOpen(row);
              }}
              onContextMenu={(event) => {
                event.preventDefault();
                setActive(row.key);
                props.onMenu(row, { x: event.clientX, y: event.clientY });
              }}
            >
              {props.render(row)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
