import type { ComponentChildren } from 'preact';
import type { LampState } from '../api/types';

function Shape({ state }: { state: LampState }) {
  switch (state) {
    case 'up':
      return <circle cx="6" cy="6" r="5" fill="currentColor" />;
    case 'degraded':
      return <path d="M6 .9 11.6 11H.4Z" fill="currentColor" />;
    case 'down':
      return (
        <>
          <rect x=".75" y=".75" width="10.5" height="10.5" rx="1.25" fill="currentColor" />
          <path class="lamp-cross" d="m3.9 3.9 4.2 4.2m0-4.2L3.9 8.1" />
        </>
      );
    case 'pending':
      return (
        <>
          <circle class="lamp-ring" cx="6" cy="6" r="4.4" />
          <path d="M6 1.6a4.4 4.4 0 0 1 0 8.8Z" fill="currentColor" />
        </>
      );
    case 'resting':
      return (
        <>
          <circle class="lamp-ring" cx="6" cy="6" r="4.4" />
          <path class="lamp-ring" d="M3.9 6h4.2" />
        </>
      );
    default:
      return <circle class="lamp-ring lamp-dashed" cx="6" cy="6" r="4.4" />;
  }
}

/** A state as a shape. `label`: for screen readers and as tooltip where no word stands beside it. */
export function Lamp({ state, label, size }: { state: LampState; label?: string; size?: 'small' | 'tiny' }) {
  const shape = (
    <svg class={`lamp ${state} ${size ?? ''}`} viewBox="0 0 12 12" aria-hidden="true">
      <Shape state={state} />
    </svg>
  );
  if (label === undefined) return shape;
  return (
    <span class="lamp-box" role="img" aria-label={label} title={label}>
      {shape}
    </span>
  );
}

/** Lamp with its word. `plain`: the word in the colour of text. */
export function State({ state, plain, children }: { state: LampState; plain?: boolean; children: ComponentChildren }) {
  return (
    <span class={`state ${state} ${plain ? 'plain' : ''}`}>
      <Lamp state={state} />
      <span>{children}</span>
    </span>
  );
}

export function Badge({ state, title, children }: { state: LampState; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge ${state}`} title={title}>
      <Lamp state={state} size="tiny" />
      <span>{children}</span>
    </span>
  );
}

export const checkinWords: Record<LampState, string> = {
  up: 'on time',
  degraded: 'late',
  down: 'missing',
  pending: 'not registered yet',
  unknown: 'never seen',
  resting: 'resting',
};
export const tunnelWords: Record<LampState, string> = {
  up: 'up',
  degraded: 'up, poor',
  down: 'down',
  pending: 'moving',
  unknown: 'never joined',
  resting: 'resting, on demand',
};

/** The two lamps of a gateway, always in this order. */
export function GatewayLamps({ lamps }: { lamps: { checkin: LampState; tunnel: LampState } }) {
  return (
    <span class="lamps">
      <Lamp state={lamps.checkin} size="small" label={`Check-in: ${checkinWords[lamps.checkin]}`} />
      <Lamp state={lamps.tunnel} size="small" label={`Tunnel: ${tunnelWords[lamps.tunnel]}`} />
    </span>
  );
}
