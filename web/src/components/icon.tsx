const paths = {
  again: 'M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3',
  check: 'm3.5 8.5 3 3 6-7',
  clock: 'M8 2.25a5.75 5.75 0 1 0 0 11.5 5.75 5.75 0 0 0 0-11.5ZM8 4.75V8l2.25 1.5',
  columns: 'M3 3h10v10H3zM6.5 3v10M10 3v10',
  copy: 'M6.75 5.5h5.5c.7 0 1.25.55 1.25 1.25v5.5c0 .7-.55 1.25-1.25 1.25h-5.5c-.7 0-1.25-.55-1.25-1.25v-5.5c0-.7.55-1.25 1.25-1.25ZM10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2',
  download: 'M8 2.5v7M5 7l3 3 3-3M2.5 10.5v2a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1v-2',
  down: 'm4 6 4 4 4-4',
  edit: 'm10.5 3 2.5 2.5L6 12.5l-3 .5.5-3Z',
  eye: 'M1.5 8S4 3.75 8 3.75 14.5 8 14.5 8 12 12.25 8 12.25 1.5 8 1.5 8ZM8 6.25a1.75 1.75 0 1 0 0 3.5 1.75 1.75 0 0 0 0-3.5Z',
  filter: 'M2.5 4h11M4.5 8h7M6.5 12h3',
  folder: 'M2.5 4.5a1 1 0 0 1 1-1h3l1.5 1.5h4.5a1 1 0 0 1 1 1v5.5a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1Z',
  gateway: 'M3.75 5.5h8.5c.7 0 1.25.55 1.25 1.25v3.5c0 .7-.55 1.25-1.25 1.25h-8.5c-.7 0-1.25-.55-1.25-1.25v-3.5c0-.7.55-1.25 1.25-1.25ZM5 8.5h.01M7.5 8.5h.01M11 5.5l2-3',
  info: 'M8 2.25a5.75 5.75 0 1 0 0 11.5 5.75 5.75 0 0 0 0-11.5ZM8 7.5V11M8 5.25h.01',
  key: 'M10.25 2.5a3.25 3.25 0 1 0 0 6.5 3.25 3.25 0 0 0 0-6.5ZM7.75 8 3 12.75V13.5h2V12h1.5v-1.5',
  left: 'm10 4-4 4 4 4',
  lock: 'M4.75 7h6.5c.7 0 1.25.55 1.25 1.25v4c0 .7-.55 1.25-1.25 1.25h-6.5c-.7 0-1.25-.55-1.25-1.25v-4C3.5 7.55 4.05 7 4.75 7ZM5.5 7V5a2.5 2.5 0 0 1 5 0v2',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  move: 'M8 2.5v11M2.5 8h11M6 4.5l2-2 2 2M6 11.5l2 2 2-2M4.5 6l-2 2 2 2M11.5 6l2 2-2 2',
  out: 'M6.5 3.5H4A1.5 1.5 0 0 0 2.5 5v7A1.5 1.5 0 0 0 4 13.5h7a1.5 1.5 0 0 0 1.5-1.5V9.5M9.5 2.5h4v4M13.5 2.5 7.5 8.5',
  plus: 'M8 3v10M3 8h10',
  power: 'M8 2v5.5M4.7 4.2a5 5 0 1 0 6.6 0',
  pulse: 'M1.5 8.5h3l2-5 3 9 2-4h3',
  right: 'm6 4 4 4-4 4',
  search: 'M7 2.75a4.25 4.25 0 1 0 0 8.5 4.25 4.25 0 0 0 0-8.5ZM10.25 10.25l3.5 3.5',
  sliders: 'M2.5 5h5M11 5h2.5M2.5 11h2M8 11h5.5M9.25 3.25a1.75 1.75 0 1 0 0 3.5 1.75 1.75 0 0 0 0-3.5ZM6.25 9.25a1.75 1.75 0 1 0 0 3.5 1.75 1.75 0 0 0 0-3.5Z',
  trash: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9',
  tunnel: 'M2 13V8.5a6 6 0 0 1 12 0V13M5 13V8.75a3 3 0 0 1 6 0V13M1.5 13h13',
  up: 'm4 10 4-4 4 4',
  upload: 'M8 10V3M5 6l3-3 3 3M2.5 10.5v2a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1v-2',
  user: 'M8 2.75a2.75 2.75 0 1 0 0 5.5 2.75 2.75 0 0 0 0-5.5ZM3 13.5c.5-2.5 2.5-3.75 5-3.75s4.5 1.25 5 3.75',
  x: 'm4 4 8 8m0-8-8 8',
} as const;

export type IconName = keyof typeof paths;

/** Never alone outside of tables: a word or an aria-label of the control goes with it. */
export function Icon({ name, class: extra = '' }: { name: IconName; class?: string }) {
  return (
    <svg class={`icon ${extra}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} stroke-width={name === 'more' ? 2.25 : undefined} />
    </svg>
  );
}

export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg class="logo" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      <path class="logo-outer" d="M3 20v-7a9 9 0 0 1 18 0v7" />
      <path class="logo-inner" d="M8.5 20v-6.5a3.5 3.5 0 0 1 7 0V20" />
    </svg>
  );
}
