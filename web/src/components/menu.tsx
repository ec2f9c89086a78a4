// Menus: of a button, and at the pointer. Arrows move, Enter chooses, Esc closes, Tab leaves.

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Button, type ButtonProps } from './button';
import { Icon, type IconName } from './icon';

export type MenuItem =
  | { kind?: 'item'; text: ComponentChildren; icon?: IconName; hint?: ComponentChildren; danger?: boolean; checked?: boolean; why?: string | undefined; href?: string; run?: () => void }
  | { kind: 'line' }
  | { kind: 'head'; text: ComponentChildren };

interface Point {
  x: number;
  y: number;
}

export function MenuList(props: { label: string; items: readonly MenuItem[]; at: Point; align?: 'start' | 'end'; onClose: () => void }) {
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    const before = document.activeElement;
    const { width, height } = element.getBoundingClientRect();
    const x = props.align === 'end' ? props.at.x - width : props.at.x;
    element.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
    element.style.top = `${Math.max(8, props.at.y + height > innerHeight - 8 ? innerHeight - height - 8 : props.at.y)}px`;
    element.querySelector<HTMLElement>('[role^="menuitem"]')?.focus();
    const away = (event: Event) => {
      if (!(event.target instanceof Node && element.contains(event.target))) props.onClose();
    };
    document.addEventListener('pointerdown', away, true);
    addEventListener('resize', props.onClose);
    return () => {
      document.removeEventListener('pointerdown', away, true);
      removeEventListener('resize', props.onClose);
      if (before instanceof HTMLElement && document.contains(before)) before.focus();
    };
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const all = [...(list.current?.querySelectorAll<HTMLElement>('[role^="menuitem"]') ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[(to + all.length) % all.length]?.focus();
    else if (event.key === 'Escape' || event.key === 'Tab') props.onClose();
    else if (event.key.length === 1 && event.key !== ' ') {
      const wanted = event.key.toLowerCase();
      [...all.slice(at + 1), ...all.slice(0, at + 1)].find((one) => one.textContent?.trim().toLowerCase().startsWith(wanted))?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="menu" role="menu" aria-label={props.label} ref={list} onKeyDown={onKeyDown}>
      {props.items.map((item, i) => {
        if (item.kind === 'line') return <div key={i} class="menu-line" role="separator" />;
        if (item.kind === 'head') return <div key={i} class="menu-head" role="presentation">{item.text}</div>;
        const shared = {
          key: i,
          class: `menu-item ${item.danger ? 'danger' : ''}`,
          role: item.checked === undefined ? 'menuitem' : 'menuitemradio',
          'aria-checked': item.checked,
          'aria-disabled': item.why !== undefined || undefined,
          title: item.why,
          tabIndex: -1,
        } as const;
        const content = (
          <>
            {item.checked !== undefined ? <Icon name="check" class={item.checked ? '' : 'hidden'} /> : item.icon ? <Icon name={item.icon} /> : <span class="icon" />}
            <span class="menu-text">{item.text}</span>
            {item.hint && <span class="dim small">{item.hint}</span>}
          </>
        );
        if (item.href !== undefined && item.why === undefined) {
          return (
            <a {...shared} href={item.href} onClick={props.onClose}>
              {content}
            </a>
          );
        }
        return (
          <button
            {...shared}
            type="button"
            onClick={() => {
              if (item.why !== undefined) return;
              props.onClose();
              item.run?.();
            }}
          >
            {content}
          </button>
        );
      })}
    </div>
  );
}

export function MenuButton(props: ButtonProps & { menu: string; items: () => readonly MenuItem[]; align?: 'start' | 'end' }) {
  const [at, setAt] = useState<Point | null>(null);
  const box = useRef<HTMLSpanElement>(null);
  const { menu, items, align, ...button } = props;
  return (
    <span class="menu-box" ref={box}>
      <Button
        {...button}
        aria-haspopup="menu"
        aria-expanded={at !== null}
        onClick={() => {
          const rect = box.current?.getBoundingClientRect();
          if (rect) setAt(at ? null : { x: align === 'end' ? rect.right : rect.left, y: rect.bottom + 4 });
        }}
      />
      {at && <MenuList label={menu} items={items()} at={at} align={align ?? 'start'} onClose={() => setAt(null)} />}
    </span>
  );
}
