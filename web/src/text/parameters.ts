// Parameters: what may be written, checked before it is sent, and values in words. Pure. The server has the last word.

import type { ParameterKind, ParameterValue, Value } from '../api/types';

export type Allowed =
  | { type: 'choice'; values: string[] }
  | { type: 'number'; least: number; most: number; unit: string }
  | { type: 'text'; bytes: number | null };

const range = /^(-?\d+(?:\.\d+)?) to (-?\d+(?:\.\d+)?)(?: (\S+))?$/;
const length = /^\d+ to (\d+) bytes of text/;

/** The words of GET /parameters, such as "60 to 86400 s" or "Disable, Enable". */
export function allowedOf(text: string): Allowed {
  const bytes = length.exec(text);
  if (bytes) return { type: 'text', bytes: Number(bytes[1]) };
  const span = range.exec(text);
  if (span) return { type: 'number', least: Number(span[1]), most: Number(span[2]), unit: span[3] ?? '' };
  const values = text.split(', ');
  if (values.every((one) => /^[\w.+-]+(?: [\w.+-]+)?$/.test(one)) && (values.length > 1 || /^[A-Z]/.test(text))) return { type: 'choice', values };
  return { type: 'text', bytes: null };
}

/** What is wrong, in the words of the server: `10034: 1194 is …`; null: it can be sent. */
export function problemOf(kind: ParameterKind, text: string): string | null {
  const allowed = allowedOf(kind.allowed);
  const fault = (what: string) => `${kind.id}: ${what} Allowed: ${kind.allowed}.`;
  if (allowed.type === 'choice') return allowed.values.includes(text) ? null : fault(`“${text}” is none of them.`);
  if (allowed.type === 'number') {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) return fault(`“${text}” is not a number.`);
    return value < allowed.least || value > allowed.most ? fault(`${text} is out of range.`) : null;
  }
  const size = new TextEncoder().encode(text).length;
  return allowed.bytes !== null && size > allowed.bytes ? fault(`It has ${size} bytes.`) : null;
}

/** As the API takes it: numbers as numbers. */
export function valueToSend(kind: ParameterKind, text: string, before: Value | undefined): string | number {
  const allowed = allowedOf(kind.allowed);
  const isNumber = allowed.type === 'number' || (allowed.type === 'choice' && (typeof (before ?? kind.initial) === 'number' || allowed.values.every((one) => /^-?\d+$/.test(one))));
  return isNumber ? Number(text) : text;
}

export function valueText(value: Value | undefined, unit = ''): string {
  if (value === undefined || value === null) return '–';
  if (typeof value === 'number') return String(value).replace('-', '\u2212') + (unit === '' ? '' : `\u202f${unit}`);
  if (typeof value === 'object' && !Array.isArray(value)) return 'set' in value ? (value['set'] ? 'set' : 'not set') : JSON.stringify(value);
  return Array.isArray(value) ? value.join(', ') : value === '' ? 'empty' : String(value);
}

/** Numbers of AMM are public; ours are not, and mean nothing to its users. */
export function publicNumber(id: number): string | null {
  return id < 60001 ? String(id) : null;
}

export interface ParameterRow extends ParameterValue {
  kind: ParameterKind | undefined;
  title: string;
}

/** Those that wait first if asked for, then what is set, what can be set, what is only reported, by name; `text` looks at number and name. */
export function parameterRows(values: readonly ParameterValue[], kinds: readonly ParameterKind[], text: string, pendingFirst: boolean): ParameterRow[] {
  const byId = new Map(kinds.map((one) => [one.id, one]));
  const byValue = new Map(values.map((one) => [one.id, one]));
  const settable = kinds.filter((one) => one.settable && !byValue.has(one.id)).map((one): ParameterValue => ({ id: one.id, name: one.name }));
  const wanted = text.trim().toLowerCase();
  const rows = [...values, ...settable].map((one): ParameterRow => {
    const kind = byId.get(one.id);
    return { ...one, kind, title: one.name ?? kind?.name ?? `Parameter ${one.id}` };
  });
  const weight = (one: ParameterRow) => (pendingFirst && one.pending ? 0 : one.desired ? 1 : one.reported === undefined ? 4 : one.kind?.settable ? 2 : 3);
  return rows
    .filter((one) => wanted === '' || one.title.toLowerCase().includes(wanted) || String(one.id).startsWith(wanted))
    .sort((a, b) => weight(a) - weight(b) || a.title.localeCompare(b.title));
}
