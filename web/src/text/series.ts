// What charts draw, from what the API answers. Pure.

import type { History } from '../api/types';

type Pairs = readonly (readonly [number, number])[];

/** A gap in the data is a gap in the line: a null behind the last point before it. */
export function withGaps(points: Pairs, gaps: Pairs): { times: number[]; values: (number | null)[] } {
  const times: number[] = [];
  const values: (number | null)[] = [];
  let gap = 0;
  for (const [at, value] of points) {
    const last = times[times.length - 1];
    let isBroken = false;
    for (; gap < gaps.length && (gaps[gap]?.[1] ?? 0) <= at; gap++) isBroken = true;
    if (isBroken && last !== undefined && last + 1 < at) {
      times.push(last + 1);
      values.push(null);
    }
    times.push(at);
    values.push(value);
  }
  return { times, values };
}

/** The page's bytes went through the tunnel, and are taken out of its sum. */
export function byPurpose(traffic: NonNullable<History['traffic']>): { at: number; page: number; checkin: number; tunnel: number }[] {
  return traffic.map(({ at, checkin, page, tunnel_in: into, tunnel_out: out }) => ({ at, page, checkin, tunnel: Math.max(0, into + out - page) }));
}
