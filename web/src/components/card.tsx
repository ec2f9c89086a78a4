import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

/** `span`: of 12 columns. `flush`: the content goes to the edges, as tables do. */
export function Card(props: {
  title: string;
  more?: ComponentChildren;
  end?: ComponentChildren;
  span?: 3 | 4 | 5 | 6 | 7 | 8 | 12;
  flush?: boolean;
  footer?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}) {
  const id = useId();
  return (
    <section class={`card ${props.span ? `span-${props.span}` : ''} ${props.class ?? ''}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.more && <span class="dim">{props.more}</span>}
        {props.end && <div class="card-end">{props.end}</div>}
      </header>
      <div class={props.flush ? 'card-flush' : 'card-body'}>{props.children}</div>
      {props.footer && <footer>{props.footer}</footer>}
    </section>
  );
}

/** Name and value, one below the other. Rows that are null are left out. */
export function Facts({ rows, wide }: { rows: readonly (readonly [string, ComponentChildren] | null | false)[]; wide?: boolean }) {
  return (
    <dl class={`facts ${wide ? 'wide' : ''}`}>
      {rows.map((row) =>
        row ? (
          <div key={row[0]}>
            <dt>{row[0]}</dt>
            <dd>{row[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

export const Tag = ({ children }: { children: ComponentChildren }) => <span class="tag">{children}</span>;
