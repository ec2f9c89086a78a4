// Which gateways a table shows: the filter as a value, as chips, as words, in the address bar and as a query of
// the API. What the address bar holds is untrusted: what does not fit is dropped.
import type { GatewayKind } from '../api/types';

export interface Filter {
  text: string;
  tunnel: '' | 'up' | 'down';
  checkin: '' | 'up' | 'late' | 'missing' | 'never';
  late: '' | 'true' | 'false'; // of saved filters: late or missing
  state: '' | 'ok' | 'warning' | 'error';
  sync: string;
  kind: '' | GatewayKind;
  access: string;
  port: string;
  stat: string; // "CellLink-RSSI<-100;Platform=RV50"
}
export type FilterName = keyof Filter;

export const noFilter: Filter = {
  text: '', tunnel: '', checkin: '', late: '', state: '', sync: '', kind: '', access: '', port: '', stat: '',
};

export interface Choice {
  value: string;
  text: string;
}

/** What a chip offers; those without choices take a text. */
export const choices: Record<Exclude<FilterName, 'text' | 'stat'>, { title: string; of: Choice[] }> = {
  tunnel: { title: 'Tunnel', of: [{ value: 'up', text: 'up' }, { value: 'down', text: 'down' }] },
  checkin: {
    title: 'Check-in',
    of: [
      { value: 'up', text: 'on time' },
      { value: 'late', text: 'late' },
      { value: 'missing', text: 'missing' },
      { value: 'never', text: 'never yet' },
    ],
  },
  late: { title: 'Check-in', of: [{ value: 'true', text: 'late or missing' }, { value: 'false', text: 'not late' }] },
  state: {
    title: 'Thresholds',
    of: [
      { value: 'error', text: 'error' },
      { value: 'warning', text: 'warning' },
      { value: 'ok', text: 'neither' },
    ],
  },
  sync: {
    title: 'Config',
    of: [
      { value: 'in-sync', text: 'In Sync' },
      { value: 'pending-to-gateway', text: 'Pending (sync to device)' },
      { value: 'pending-from-gateway', text: 'Pending (sync from device)' },
      { value: 'pending-registration', text: 'Pending (device registration)' },
      { value: 'pending-firmware', text: 'Pending (firmware update)' },
    ],
  },
  kind: {
    title: 'Kind',
    of: [
      { value: 'amm', text: 'with our software' },
      { value: 'aleos', text: 'ALEOS' },
      { value: 'openvpn', text: 'OpenVPN router' },
    ],
  },
  access: {
    title: 'Access',
    of: [
      { value: 'new', text: 'not enrolled yet' },
      { value: 'admitted', text: 'admitted' },
      { value: 'quarantined', text: 'in quarantine' },
      { value: 'revoked', text: 'revoked' },
    ],
  },
  port: {
    title: 'Port',
    of: ['1190', '1191', '1192', '1193'].map((value) => ({ value, text: value })),
  },
};

const names = Object.keys(noFilter) as FilterName[];

/** From "tunnel=down&text=bus". */
export function readFilter(given: URLSearchParams): Filter {
  const filter: Filter = { ...noFilter };
  for (const name of names) {
    const value = given.get(name)?.trim() ?? '';
    const known = name === 'text' || name === 'stat' ? value.length <= 200 : isChoice(name, value);
    if (value !== '' && known) Object.assign(filter, { [name]: value });
  }
  return filter;
}

function isChoice(name: Exclude<FilterName, 'text' | 'stat'>, value: string): boolean {
  return name === 'port' ? /^[1-9]\d{0,4}$/.test(value) : choices[name].of.some((choice) => choice.value === value);
}

/** As parameters, for the address bar and for the API alike. */
export function writeFilter(filter: Filter): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of names) if (filter[name] !== '') out[name] = filter[name];
  return out;
}

export function isEmpty(filter: Filter): boolean {
  return names.every((name) => filter[name] === '');
}

export function same(a: Filter, b: Filter): boolean {
  return names.every((name) => a[name] === b[name]);
}

export interface Chip {
  name: FilterName;
  text: string;
}

/** One chip for each condition but the text, which has its field. */
export function chips(filter: Filter): Chip[] {
  const out: Chip[] = [];
  for (const name of names) {
    const value = filter[name];
    if (value === '' || name === 'text') continue;
    if (name === 'stat') out.push({ name, text: statWords(value) });
    else {
      const choice = choices[name].of.find((one) => one.value === value);
      out.push({ name, text: `${choices[name].title}: ${choice?.text ?? value}` });
    }
  }
  return out;
}

/** "CellLink-RSSI<-100;Platform=RV50" → "CellLink-RSSI < −100 and Platform = RV50". */
export function statWords(conditions: string): string {
  const signs: Record<string, string> = { '<=': '≤', '>=': '≥', '!=': '≠', '~': 'contains' };
  return conditions
    .split(';')
    .filter((one) => one.trim() !== '')
    .map((one) => {
      if (/^![^=]/.test(one)) return `${one.slice(1)} missing`;
      const part = /^(.+?)(<=|>=|!=|<|>|=|~)(.*)$/.exec(one);
      if (!part) return `${one} reported`;
      const [, stat = '', sign = '', value = ''] = part;
      return `${stat} ${signs[sign] ?? sign} ${value.replace(/^-(?=\d)/, '\u2212')}`;
    })
    .join(' and ');
}

/** What an empty table is to say: the condition that empties it is the last one that was added. */
export function words(filter: Filter): string {
  const all = chips(filter).map((chip) => chip.text);
  if (filter.text !== '') all.unshift(`“${filter.text}”`);
  return all.join(', ');
}

export function without(filter: Filter, name: FilterName): Filter {
  return { ...filter, [name]: '' };
}

// ---- saved filters ----

export interface SavedFilter {
  name: string;
  query: string;
}
const SAVED_MAX = 20;

export function asQuery(filter: Filter): string {
  return new URLSearchParams(writeFilter(filter)).toString();
}

/** Replaces one of that name. */
export function save(list: readonly SavedFilter[], name: string, filter: Filter): SavedFilter[] {
  const kept = list.filter((one) => one.name !== name);
  return [...kept, { name, query: asQuery(filter) }].slice(-SAVED_MAX);
}
