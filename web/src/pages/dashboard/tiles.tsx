// The four answers above the table: are the tunnels up, is there room, do the gateways check in, what needs a look.
import type { ComponentChildren } from 'preact';
import { Lamp } from '../../components/lamp';
import { Skeleton } from '../../components/states';
import type { Look, Summary, SummaryPort } from '../../api/shapes';
import type { LampState } from '../../api/types';
import { arcs, checkinParts, onTimeShare, shareText, tunnelParts, type Part } from '../../model/dashboard';
import { number, plural } from '../../text/format';

const MARK = 0.95; // of check-ins on time: below it the gauge is no longer calm

function Tile({ title, note, children }: { title: string; note: string; children: ComponentChildren }) {
  return (
    <section class="tile" aria-label={title}>
      <header><h2>{title}</h2> <span class="dim">{note}</span></header>
      {children}
    </section>
  );
}

const tableLink = (query: Record<string, string>) => `/dashboard?${new URLSearchParams(query)}`;

function Legend({ parts, scope }: { parts: Part[]; scope: Record<string, string> }) {
  return (
    <ul class="counted">
      {parts.map((part) => (
        <li key={part.key}>
          <Lamp state={part.lamp} />
          <span>{part.text}</span>
          <a class="count-link" href={tableLink({ ...scope, ...part.query })}
            aria-label={`${part.text}: ${number(part.count)}`}>{number(part.count)}</a>
        </li>
      ))}
    </ul>
  );
}

// ---- ring and gauge ----

const lampOf = (parts: Part[], key: string): LampState => parts.find((part) => part.key === key)?.lamp ?? 'unknown';

/** A piece of a ring around (0, 0), from and to in turns, clockwise from `start`. */
function arcPath(radius: number, from: number, to: number, start: number): string {
  const point = (turn: number) => {
    const angle = (turn + start) * 2 * Math.PI;
    return `${(radius * Math.sin(angle)).toFixed(3)} ${(-radius * Math.cos(angle)).toFixed(3)}`;
  };
  const end = Math.min(to, from + 0.99999);
  return `M${point(from)}A${radius} ${radius} 0 ${end - from > 0.5 ? 1 : 0} 1 ${point(end)}`;
}

function words(parts: Part[]): string {
  return parts.filter((part) => part.count > 0).map((part) => `${number(part.count)} ${part.text.toLowerCase()}`).join(', ');
}

function Donut({ parts }: { parts: Part[] }) {
  const pieces = arcs(parts);
  const gap = pieces.length > 1 ? 0.006 : 0;
  return (
    <svg class="donut" viewBox="-36 -36 72 72" role="img" aria-label={`Tunnels: ${words(parts) || 'no gateways'}`}>
      {pieces.length === 0 && <circle class="ring-empty" r="30" />}
      {pieces.map((piece) => (
        <path key={piece.key} class={`ring ${lampOf(parts, piece.key)}`} d={arcPath(30, piece.from + gap / 2, piece.to - gap / 2, 0)} />
      ))}
    </svg>
  );
}

function Gauge({ share, label }: { share: number | null; label: string }) {
  const value = share ?? 0;
  const state = share === null ? 'unknown' : share >= MARK ? 'up' : share >= 0.8 ? 'degraded' : 'down';
  const mark = -0.25 + MARK / 2;
  const at = (radius: number) =>
    `${(radius * Math.sin(mark * 2 * Math.PI)).toFixed(2)} ${(-radius * Math.cos(mark * 2 * Math.PI)).toFixed(2)}`;
  return (
    <svg class="gauge" viewBox="-48 -48 96 58" role="img" aria-label={label}>
      <path class="ring-empty" d={arcPath(40, 0, 0.5, -0.25)} />
      {value > 0 && <path class={`ring ${state}`} d={arcPath(40, 0, value / 2, -0.25)} />}
      <path class="gauge-mark" d={`M${at(34)}L${at(47)}`} />
      <text class="gauge-text" y="2" text-anchor="middle">{share === null ? '–' : shareText(share)}</text>
    </svg>
  );
}

// ---- tiles ----

function TunnelTile({ summary, scope }: { summary: Summary; scope: Record<string, string> }) {
  const parts = tunnelParts(summary);
  return (
    <Tile title="Tunnel" note={plural(summary.gateways, 'gateway')}>
      <div class="tile-pair">
        <Donut parts={parts} />
        <Legend parts={parts} scope={scope} />
      </div>
    </Tile>
  );
}

function PortRow({ port, scope }: { port: SummaryPort; scope: Record<string, string> }) {
  const others = port.used_all === undefined ? 0 : Math.max(0, port.used_all - port.used_own);
  return (
    <li>
      <a class="port-name" href={tableLink({ ...scope, port: String(port.port) })}>{port.port}</a>
      <PlacesBar own={port.used_own} others={others} limit={port.limit} />
      <span class="num"><b>{number(port.used_own)}</b> · {number(port.free_for_you)} free</span>
    </li>
  );
}

/** A port's places: one's own in the accent, those of others (system administrators only) grey, free ones empty. */
export function PlacesBar({ own, others, limit }: { own: number; others: number; limit: number }) {
  const part = (count: number) => `${((100 * count) / Math.max(1, limit)).toFixed(2)}%`;
  return (
    <span class="places" role="img" aria-label={`${number(own)} of ${number(limit)} places taken by these gateways${
      others > 0 ? `, ${number(others)} by others` : ''}`}>
      {own > 0 && <i class="own" style={{ width: part(own) }} />}
      {others > 0 && <i class="others" style={{ width: part(others) }} />}
    </span>
  );
}

function PortsTile({ summary, scope, name }: { summary: Summary; scope: Record<string, string>; name: string }) {
  const limits = new Set(summary.ports.map((port) => port.limit));
  const note = limits.size === 1 ? `of ${number([...limits][0] ?? 0)} places each` : '';
  const hasOthers = summary.ports.some((port) => (port.used_all ?? 0) > port.used_own);
  return (
    <Tile title="Tunnels per port" note={note}>
      <ul class="port-list">{summary.ports.map((port) => <PortRow key={port.port} port={port} scope={scope} />)}</ul>
      <div class="tile-foot">
        <span class="swatch own">{name}</span>
        {hasOthers && <span class="swatch others">Others</span>}
        <a href="/tunnels">Ports and pools</a>
      </div>
    </Tile>
  );
}

function CheckinTile({ summary, scope }: { summary: Summary; scope: Record<string, string> }) {
  const share = onTimeShare(summary);
  const parts = checkinParts(summary);
  return (
    <Tile title="Check-in" note="last two intervals">
      <div class="tile-pair">
        <Gauge share={share} label={share === null ? 'No gateway has checked in yet' : `${shareText(share)} on time`} />
        <Legend parts={parts} scope={scope} />
      </div>
      <p class="tile-note">{`Mark: 95\u202f%`}</p>
    </Tile>
  );
}

const lamps: Record<Look['kind'], LampState> = {
  clone: 'down', quarantined: 'degraded', settings: 'down', threshold: 'down', 'check-in': 'down',
};
const reasons: Record<Look['kind'], string> = {
  clone: 'used twice', quarantined: 'in quarantine', settings: 'settings refused', threshold: 'threshold', 'check-in': 'missing',
};

function LookRow({ look }: { look: Look }) {
  return (
    <li title={look.why}>
      <Lamp state={lamps[look.kind] ?? 'degraded'} />
      <a href={`/gateways/${look.gateway.id}`}>{look.gateway.name}</a>
      <span>{reasons[look.kind] ?? look.why}</span>
    </li>
  );
}

function LookTile({ summary }: { summary: Summary }) {
  const shown = summary.look.slice(0, 5);
  return (
    <Tile title="Needs a look" note={summary.wants_look > shown.length ? `${number(shown.length)} of ${plural(summary.wants_look, 'gateway')}` : ''}>
      {shown.length === 0
        ? <p class="tile-calm"><Lamp state="up" /> Nothing needs a look.</p>
        : <ul class="counted">{shown.map((look) => <LookRow key={look.gateway.id} look={look} />)}</ul>}
    </Tile>
  );
}

/** `scope`: the branch, as parameters of the links. */
export function Tiles({ summary, scope, name }: { summary: Summary | undefined; scope: Record<string, string>; name: string }) {
  if (!summary) {
    return (
      <div class="tiles" aria-busy="true">
        {['Tunnel', 'Tunnels per port', 'Check-in', 'Needs a look'].map((title) => (
          <Tile key={title} title={title} note=""><Skeleton lines={4} label={`Loading: ${title}`} /></Tile>
        ))}
      </div>
    );
  }
  return (
    <div class="tiles">
      <TunnelTile summary={summary} scope={scope} />
      <PortsTile summary={summary} scope={scope} name={name} />
      <CheckinTile summary={summary} scope={scope} />
      <LookTile summary={summary} />
    </div>
  );
}
