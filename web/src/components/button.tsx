import type { ComponentChildren, JSX } from 'preact';
import { Icon, type IconName } from './icon';

export interface ButtonProps {
  children?: ComponentChildren;
  /** primary: at most one a page. row: text without a frame, in tables. */
  kind?: 'default' | 'primary' | 'danger' | 'danger-quiet' | 'quiet' | 'row';
  size?: 'small' | 'large';
  icon?: IconName;
  /** For a button that is an icon only. */
  label?: string;
  block?: boolean;
  busy?: boolean;
  /** Why it cannot be used now: it stays reachable and says so. */
  why?: string | undefined;
  onClick?: (event: MouseEvent) => void;
  href?: string;
  type?: 'button' | 'submit';
  pressed?: boolean;
  class?: string;
  id?: string;
  tabIndex?: number;
  autofocus?: boolean;
  'aria-haspopup'?: 'menu' | 'dialog';
  'aria-expanded'?: boolean;
  'aria-describedby'?: string;
}

export function Button(props: ButtonProps) {
  const { children, kind = 'default', size, icon, label, block, busy, why, href } = props;
  const isOff = why !== undefined || busy === true;
  const names = ['btn', kind, size, block && 'full', busy && 'busy', !children && 'only-icon', props.class];
  const shared = {
    class: names.filter(Boolean).join(' '),
    id: props.id,
    title: why ?? (children ? undefined : label),
    'aria-label': label,
    'aria-describedby': props['aria-describedby'],
    tabIndex: props.tabIndex,
  };
  const content = (
    <>
      {busy ? <span class="spin" aria-hidden="true" /> : icon && <Icon name={icon} />}
      {children}
    </>
  );
  if (href !== undefined && !isOff) {
    return (
      <a {...shared} href={href} onClick={props.onClick as JSX.MouseEventHandler<HTMLAnchorElement>}>
        {content}
      </a>
    );
  }
  return (
    <button
      {...shared}
      type={props.type ?? 'button'}
      aria-disabled={isOff || undefined}
      aria-busy={busy || undefined}
      aria-pressed={props.pressed}
      aria-haspopup={props['aria-haspopup']}
      aria-expanded={props['aria-expanded']}
      autofocus={props.autofocus}
      onClick={(event) => {
        if (isOff) event.preventDefault();
        else props.onClick?.(event);
      }}
    >
      {content}
    </button>
  );
}

/** A choice of a few, beside each other. */
export function Segments<T extends string>(props: {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map((one) => (
        <Button key={one.value} size="small" pressed={one.value === props.value} onClick={() => props.onChange(one.value)}>
          {one.text}
        </Button>
      ))}
    </div>
  );
}

/** A filter that is set (with a cross), or can be. */
export function Chip(props: { children?: ComponentChildren; on?: boolean; icon?: IconName; label?: string; pressed?: boolean; onClick: () => void; remove?: boolean }) {
  return (
    <button
      type="button"
      class={`chip ${props.on ? 'on' : ''}`}
      aria-label={props.label}
      aria-pressed={props.pressed}
      onClick={props.onClick}
    >
      {props.icon && <Icon name={props.icon} />}
      {props.children}
      {props.remove && <Icon name="x" />}
    </button>
  );
}
