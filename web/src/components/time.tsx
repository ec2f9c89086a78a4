import { now } from '../state/now';
import { ago, duration, moment, until, utc, zone } from '../text/format';

/** "4 min ago", moving on; UTC on hover. `as`: "moment" for lists, "until" for what is to come. */
export function Time({ at, as = 'ago' }: { at: number; as?: 'ago' | 'moment' | 'until' }) {
  const text = as === 'moment' ? moment(at, now.value) : as === 'until' ? until(at, now.value) : ago(at, now.value);
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={utc(at)}>
      {text}
    </time>
  );
}

/** How long since: "12 h 11 min". */
export function Since({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={utc(at)}>
      {duration(now.value - at)}
    </time>
  );
}

/** Once a page. */
export function ZoneNote() {
  const name = zone(now.value);
  return <span>{name === 'UTC' ? 'Times are UTC, the zone of your browser' : `Times in your zone, ${name}. Hover for UTC`}</span>;
}
