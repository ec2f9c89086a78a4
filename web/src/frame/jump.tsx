// "Search or jump to": gateways, groups and pages, by the combobox pattern.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { api, isAbort } from '../api/client';
import type { Lamps, List, SearchHit } from '../api/types';
import { SearchBox } from '../components/field';
import { Icon, type IconName } from '../components/icon';
import { GatewayLamps } from '../components/lamp';
import { navigate } from '../state/router';
import { pathOfGroup } from '../state/fleet';
import { useShortcut } from '../state/shortcuts';

interface Hit {
  key: string;
  text: string;
  more: string;
  icon: IconName;
  href: string;
  lamps?: Lamps;
}

const pathText = (group: string) => pathOfGroup(group).map((one) => one.name).join(' / ');

function hitOf(one: SearchHit): Hit {
  if (one.kind === 'group') {
    return { key: `g${one.id}`, text: one.name, more: pathText(one.id), icon: 'folder', href: `/dashboard?group=${one.id}` };
  }
  return { key: one.id, text: one.name, more: pathText(one.group), icon: 'gateway', href: `/gateways/${one.id}`, lamps: one.lamps };
}

function hitsOf(results: readonly SearchHit[], text: string, pages: readonly { text: string; path: string }[]): Hit[] {
  const wanted = text.toLowerCase();
  const found = pages.filter((one) => one.text.toLowerCase().startsWith(wanted));
  return [
    ...found.map((one): Hit => ({ key: `p${one.path}`, text: one.text, more: 'Page', icon: 'columns', href: one.path })),
    ...results.map(hitOf),
  ];
}

export function Jump({ pages }: { pages: readonly { text: string; path: string }[] }) {
  const [text, setText] = useState('');
  const [hits, setHits] = useState<Hit[] | null>(null);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useShortcut('/', 'Search or jump to', () => input.current?.focus());

  useEffect(() => {
    const wanted = text.trim();
    if (wanted === '') {
      setHits(null);
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.get<List<SearchHit>>('/search', { query: { q: wanted }, signal: abort.signal }).then(
        (results) => {
          setHits(hitsOf(results.items, wanted, pages));
          setAt(0);
        },
        (error: unknown) => {
          if (!isAbort(error)) setHits(hitsOf([], wanted, pages));
        },
      );
    }, 120);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);

  const choose = (hit: Hit | undefined) => {
    if (!hit) return;
    setText('');
    input.current?.blur();
    navigate(hit.href);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const count = hits?.length ?? 0;
    if (event.key === 'ArrowDown' && count > 0) setAt((at + 1) % count);
    else if (event.key === 'ArrowUp' && count > 0) setAt((at - 1 + count) % count);
    else if (event.key === 'Enter') choose(hits?.[at]);
    else if (event.key === 'Escape') {
      if (text === '') input.current?.blur();
      setText('');
    } else return;
    event.preventDefault();
  };
  return (
    <div
      class="jump"
      onFocusOut={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setText('');
      }}
    >
      <SearchBox
        label="Search or jump to"
        value={text}
        onInput={setText}
        onKeyDown={onKeyDown}
        kbd="/"
        inputRef={input}
        attributes={{
          role: 'combobox',
          'aria-expanded': hits !== null ? 'true' : 'false',
          'aria-controls': hits !== null ? id : undefined,
          'aria-activedescendant': hits && hits.length > 0 ? `${id}-${at}` : undefined,
          'aria-autocomplete': 'list',
        }}
      />
      {hits !== null && (
        <div class="jump-list" role="listbox" id={id} aria-label="Found">
          {hits.length === 0 && <p class="tree-note">Nothing is named “{text.trim()}”. Names, serials and addresses are searched.</p>}
          {hits.map((hit, i) => (
            <div
              key={hit.key}
              id={`${id}-${i}`}
              role="option"
              class="jump-hit"
              aria-selected={i === at}
              onPointerMove={() => setAt(i)}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => choose(hit)}
            >
              <Icon name={hit.icon} />
              <span class="jump-text">{hit.text}</span>
              <span class="jump-more">{hit.more}</span>
              {hit.lamps && <GatewayLamps lamps={hit.lamps} />}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
