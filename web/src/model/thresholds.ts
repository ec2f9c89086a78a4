// "Add a Threshold": the form as a value, what is wrong in it, and what goes to the API.
import type { Condition, ConditionOp, Threshold } from '../api/shapes';
import type { GatewayKind, Id } from '../api/types';

export interface ConditionForm {
  op: '' | ConditionOp; // "": no condition
  value: string;
}

export interface ThresholdForm {
  label: string;
  place: 'group' | 'gateway';
  tenant: Id;
  group: Id; // "0": the whole tenant
  gateway: Id;
  types: GatewayKind[];
  stat: string;
  statLabel: string;
  default: string;
  filter: string;
  dashboardGroup: string;
  order: string;
  warning: ConditionForm;
  error: ConditionForm;
  hysteresis: string;
  hold: string;
  unit: string;
}

export const operators: { op: '' | ConditionOp; text: string; takesValue: boolean; isForNumbers?: boolean }[] = [
  { op: '', text: 'No condition', takesValue: false },
  { op: 'lt', text: 'is below', takesValue: true, isForNumbers: true },
  { op: 'le', text: 'is at or below', takesValue: true, isForNumbers: true },
  { op: 'gt', text: 'is above', takesValue: true, isForNumbers: true },
  { op: 'ge', text: 'is at or above', takesValue: true, isForNumbers: true },
  { op: 'eq', text: 'is', takesValue: true },
  { op: 'ne', text: 'is not', takesValue: true },
  { op: 'missing', text: 'is missing', takesValue: false },
  { op: 'present', text: 'is there', takesValue: false },
  { op: 'matches', text: 'matches', takesValue: true },
];

export const allKinds: { kind: GatewayKind; text: string }[] = [
  { kind: 'amm', text: 'With our software' },
  { kind: 'aleos', text: 'ALEOS' },
  { kind: 'openvpn', text: 'OpenVPN routers' },
];

export function emptyForm({ tenant, group }: { tenant: Id; group: Id }): ThresholdForm {
  return {
    label: '', place: 'group', tenant, group, gateway: '', types: allKinds.map((one) => one.kind), stat: '',
    statLabel: '', default: '', filter: '', dashboardGroup: '1', order: '0', warning: { op: '', value: '' },
    error: { op: '', value: '' }, hysteresis: '0', hold: '0', unit: '',
  };
}

function conditionForm(condition: Condition | null): ConditionForm {
  return condition ? { op: condition.op, value: condition.value === undefined ? '' : String(condition.value) }
    : { op: '', value: '' };
}

export function formOf(threshold: Threshold): ThresholdForm {
  return {
    label: threshold.label,
    place: threshold.gateway ? 'gateway' : 'group',
    tenant: threshold.tenant,
    group: threshold.group ?? '0',
    gateway: threshold.gateway ?? '',
    types: [...threshold.gateway_types],
    stat: threshold.stat,
    statLabel: threshold.stat_label,
    default: threshold.default,
    filter: threshold.display_filter,
    dashboardGroup: String(threshold.dashboard_group),
    order: String(threshold.order),
    warning: conditionForm(threshold.warning),
    error: conditionForm(threshold.error),
    hysteresis: String(threshold.hysteresis),
    hold: String(threshold.hold_s),
    unit: threshold.unit,
  };
}

/** "−110", "-110", "1 000.5" → a number; null: none. What people paste has other minus signs and spaces. */
export function readNumber(text: string): number | null {
  const plain = text.trim().replace(/[\s\u202f\u00a0]/g, '').replace(/[\u2212\u2013]/g, '-');
  return /^-?\d+(\.\d+)?$/.test(plain) ? Number(plain) : null;
}

export type Faults = Partial<Record<keyof ThresholdForm, string>>;

function conditionFault(condition: ConditionForm): string | undefined {
  const operator = operators.find((one) => one.op === condition.op);
  if (!operator?.takesValue) return undefined;
  if (condition.value.trim() === '') return 'A value is missing. For example: -110.';
  if (operator.isForNumbers && readNumber(condition.value) === null) {
    return `“${condition.value}” is not a number. For example: \u2212110.`;
  }
  return undefined;
}

function wholeFault(text: string, most: number): string | undefined {
  const value = readNumber(text);
  return value === null || !Number.isInteger(value) || value < 0 || value > most
    ? `“${text}” does not fit. Allowed: 0 to ${most}.` : undefined;
}

/** What is wrong, by field; {}: nothing. */
export function check(form: ThresholdForm): Faults {
  const faults: Faults = {};
  const put = (field: keyof ThresholdForm, text: string | undefined) => {
    if (text) faults[field] = text;
  };
  put('label', form.label.trim() === '' ? 'The column needs a name.' : undefined);
  put('stat', form.stat.trim() === '' ? 'Choose what the gateways report.' : undefined);
  put('gateway', form.place === 'gateway' && form.gateway === '' ? 'Choose the gateway.' : undefined);
  put('types', form.types.length === 0 ? 'Choose at least one kind.' : undefined);
  put('warning', conditionFault(form.warning));
  put('error', conditionFault(form.error));
  put('dashboardGroup', wholeFault(form.dashboardGroup, 99));
  put('order', wholeFault(form.order, 9999));
  put('hold', wholeFault(form.hold, 86400));
  const hysteresis = readNumber(form.hysteresis);
  put('hysteresis', hysteresis === null || hysteresis < 0 ? 'A number, 0 or more.' : undefined);
  return faults;
}

function condition(form: ConditionForm): Condition | null {
  const operator = operators.find((one) => one.op === form.op);
  if (!operator || operator.op === '') return null;
  if (!operator.takesValue) return { op: operator.op };
  const value = operator.op === 'matches' ? null : readNumber(form.value);
  return { op: operator.op, value: value ?? form.value.trim() };
}

/** The members for POST and PATCH. The place of a threshold does not change. */
export function bodyOf(form: ThresholdForm, isNew: boolean): Record<string, unknown> {
  const place = form.place === 'gateway' ? { gateway: form.gateway } : { tenant: form.tenant, group: form.group };
  return {
    ...(isNew ? place : {}),
    label: form.label.trim(),
    stat: form.stat.trim(),
    stat_label: form.statLabel.trim(),
    gateway_types: form.types,
    default: form.default,
    display_filter: form.filter,
    dashboard_group: readNumber(form.dashboardGroup) ?? 0,
    order: readNumber(form.order) ?? 0,
    warning: condition(form.warning),
    error: condition(form.error),
    hysteresis: readNumber(form.hysteresis) ?? 0,
    hold_s: readNumber(form.hold) ?? 0,
    unit: form.unit.trim(),
  };
}

/** What a removed threshold was: undo makes it again, at the same place. */
export function bodyOfThreshold(threshold: Threshold): Record<string, unknown> {
  return bodyOf(formOf(threshold), true);
}

/** "after 5 min, back at −107" of a threshold with hold time and hysteresis; "" without. */
export function steadiness(threshold: Threshold): string {
  const parts = [];
  if (threshold.hold_s > 0) {
    parts.push(`after ${threshold.hold_s % 60 === 0 ? `${threshold.hold_s / 60}\u202fmin` : `${threshold.hold_s}\u202fs`}`);
  }
  if (threshold.hysteresis > 0) parts.push(`back by ${threshold.hysteresis}`);
  return parts.join(', ');
}
