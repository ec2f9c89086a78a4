import type { ComponentChildren } from 'preact';
import { Icon } from '../components/icon';

/** Title of a page, what is said of it, the way up, and what can be done. */
export function PageHead(props: {
  title: string;
  note?: ComponentChildren;
  up?: { text: string; href: string }[];
  children?: ComponentChildren;
}) {
  return (
    <div class="head">
      <div class="head-text">
        {props.up && (
          <nav class="crumbs" aria-label="Way up">
            {props.up.map((one) => (
              <span key={one.href}><a href={one.href}>{one.text}</a><Icon name="right" /></span>
            ))}
          </nav>
        )}
        <h1>{props.title}</h1>
        {props.note && <p class="dim">{props.note}</p>}
      </div>
      {props.children && <div class="actions">{props.children}</div>}
    </div>
  );
}
