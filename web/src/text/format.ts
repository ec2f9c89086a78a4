// Numbers, sizes, durations and times as people read them. Pure: the time is given, the zone is the browser's.

export const NARROW = '\u202f'; // between thousands, and before % and units: never a line end
const MINUS = '\u2212';

/** 7120 → "7 120", -112.5 → "−112.5". At most `digits` decimals; all of them with `fixed`. */
export function number(value: number, digits = 0, fixed = false): string {
  if (!Number.isFinite(value)) return '–';
  const text = fixed ? value.toFixed(digits) : String(Number(value.toFixed(digits)));
  const [whole = '0', part] = text.replace('-', '').split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, NARROW);
  return (text.startsWith('-') ? MINUS : '') + grouped + (part ? `.${part}` : '');
}

/** A value with its unit: they never part at a line end. */
export function withUnit(value: number, unit: string, digits = 0): string {
  return unit === '' ? number(value, digits) : `${number(value, digits)}${unit === '°' ? '' : NARROW}${unit}`;
}

/** 0.976 → "97.6 %". */
export function percent(share: number, digits = 0): string {
  return `${number(share * 100, digits)}${NARROW}%`;
}

/** Decimal: 48600000 → "48.6 MB". */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${number(Math.sign(count) * value, unit === 0 ? 0 : 1)}${NARROW}${units[unit]}`;
}

/** In two units: 273840 → "3 d 04 h", 731 → "12 min", 12 → "12 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  if (s < 60) return `${s}${NARROW}s`;
  if (s < 3600) {
    const rest = s % 60;
    const minutes = `${Math.floor(s / 60)}${NARROW}min`;
    return s < 600 && rest > 0 ? `${minutes} ${two(rest)}${NARROW}s` : minutes;
  }
  if (s < 86400) {
    const rest = Math.floor((s % 3600) / 60);
    return `${Math.floor(s / 3600)}${NARROW}h${rest > 0 ? ` ${two(rest)}${NARROW}min` : ''}`;
  }
  const rest = Math.floor((s % 86400) / 3600);
  return `${number(Math.floor(s / 86400))}${NARROW}d${rest > 0 ? ` ${two(rest)}${NARROW}h` : ''}`;
}

/** The largest unit only: 731 → "12 min", 7400 → "2 h". */
export function roughly(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}${NARROW}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${NARROW}min`;
  if (s < 2 * 86400) return `${Math.floor(s / 3600)}${NARROW}h`;
  return `${number(Math.floor(s / 86400))}${NARROW}d`;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (n: number) => String(n).padStart(2, '0');

export function clock(at: number): string {
  const date = new Date(at * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function day(at: number): string {
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** "14:21" today, "22 Nov 14:21" within half a year, "2025-03-18" beyond. */
export function moment(at: number, now: number): string {
  if (day(at) === day(now)) return clock(at);
  const date = new Date(at * 1000);
  return Math.abs(now - at) < 183 * 86400 ? `${date.getDate()} ${months[date.getMonth()]} ${clock(at)}` : day(at);
}

/** "4 min ago" below an hour, else as moment() says. */
export function ago(at: number, now: number): string {
  const age = now - at;
  if (age < -60 || age >= 3600) return moment(at, now);
  return age < 5 ? 'now' : `${roughly(age)} ago`;
}

/** "in 6 min", or as moment() says. */
export function until(at: number, now: number): string {
  const left = at - now;
  return left <= 0 ? 'now' : left < 3600 ? `in ${roughly(left)}` : `at ${moment(at, now)}`;
}

/** For the hover: "2026-11-24 13:21:05 UTC". */
export function utc(at: number): string {
  return `${new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The reader's zone, once a page: "UTC+1", "UTC+5:30". */
export function zone(at: number): string {
  const minutes = -new Date(at * 1000).getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? MINUS : '+'}${Math.floor(Math.abs(minutes) / 60)}${rest ? `:${two(rest)}` : ''}`;
}

/** "1 gateway", "7 120 gateways". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** "52.52000° N, 13.40500° E". */
export function coordinates(latitude: number, longitude: number): string {
  const part = (value: number, plus: string, minus: string) =>
    `${Math.abs(value).toFixed(5)}°${NARROW}${value < 0 ? minus : plus}`;
  return `${part(latitude, 'N', 'S')}, ${part(longitude, 'E', 'W')}`;
}

/** "Bus 1047" → "B1": for the round picture of somebody without one. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const first = [...(words[0] ?? '?')];
  const second = words.length > 1 ? [...(words[words.length - 1] ?? '')][0] : first[1];
  return `${first[0] ?? ''}${second ?? ''}`.toUpperCase();
}
