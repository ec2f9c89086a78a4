// Answers of the API that only the pages for many gateways use: dashboard, thresholds, sheets, tunnels, admin.
import type { Binding, GatewayCompact, GatewayKind, Id, Time } from './types';

// ---- thresholds and the dashboard ----

export type ConditionOp = 'lt' | 'le' | 'gt' | 'ge' | 'eq' | 'ne' | 'missing' | 'present' | 'matches';
export interface Condition {
  op: ConditionOp;
  value?: string | number;
}

export interface Threshold {
  id: Id;
  label: string;
  tenant: Id;
  group?: Id;
  gateway?: Id;
  inherited?: boolean;
  stat: string;
  stat_label: string;
  gateway_types: GatewayKind[];
  default: string;
  display_filter: string;
  dashboard_group: number; // columns from left to right, 0 to 99
  order: number;
  warning: Condition | null;
  error: Condition | null;
  hysteresis: number;
  hold_s: number;
  unit: string;
}

export type CellState = 'ok' | 'warning' | 'error' | 'none';
export interface Cell {
  value: string | number | boolean | null;
  state: CellState;
  since?: Time | null;
}

export interface DashboardRow {
  gateway: GatewayCompact;
  cells: Cell[];
}

export interface DashboardPage {
  columns: Threshold[];
  items: DashboardRow[];
  next?: string;
  total?: number;
}

export interface SummaryPort {
  port: number;
  used_own: number;
  free_for_you: number;
  limit: number;
  used_all?: number; // for system administrators
}
/** A gateway that needs a look, the worst first. */
export interface Look {
  gateway: GatewayCompact;
  kind: 'clone' | 'quarantined' | 'settings' | 'threshold' | 'check-in';
  why: string;
  since: Time | null;
}
export interface Summary {
  gateways: number;
  pie: { up: number; late: number; missing: number; never: number }; // check-ins
  gauge: { up: number; down: number; resting: number; never: number; of: number }; // tunnels
  states: { ok: number; warning: number; error: number };
  sync: Record<string, number>;
  wants_look: number;
  look: Look[];
  ports: SummaryPort[];
}

/** How many gateways a threshold would say something of now; `gateways`: the first of those. */
export interface ThresholdPreview {
  total: number;
  looked_at: number;
  ok: number;
  warning: number;
  error: number;
  none: number;
  missing: number;
  gateways: { id: Id; name: string; state: CellState; value: string }[];
}

// ---- sheets ----

export type ImportState =
  | 'reading' | 'mapping' | 'ready' | 'applying' | 'applied' | 'held' | 'undone' | 'failed';
export interface ImportColumn {
  column: string; // "C"
  header: string;
  target: string; // "10034", "name", "group", "ignore"
  name?: string; // of the parameter
  sure: boolean;
}
export interface ImportPort {
  port: number;
  now: number; // places of this tenant
  in: number;
  out: number;
  after: number;
  limit: number;
  free_for_you: number; // now
}
export interface ImportMoves {
  stage: number; // 0: not begun
  done: number;
  back: number;
  failed: number;
  waiting: number;
}
export interface ImportRows {
  total: number;
  good: number;
  bad: number;
  unchanged: number;
  change: number;
  new: number;
  check: number;
  applied: number;
  failed: number;
  conflicts: number;
}
export interface Import {
  id: Id;
  tenant: Id;
  group: Id;
  state: ImportState;
  phase: 'none' | 'reading' | 'judging' | 'rows' | 'moves' | 'undo' | 'drop';
  filename: string;
  by: string;
  at: Time;
  changed_at: Time;
  text: string; // why it failed, or waits
  columns: ImportColumn[];
  rows: ImportRows;
  ports: ImportPort[];
  progress: { done: number; of: number };
  moves: ImportMoves;
  only_good: boolean;
  create_unknown: boolean;
  undo_until: Time | null;
}
/** What a row changes, or what is wrong: cells that say nothing new are left out. */
export interface ImportCell {
  column: string;
  header: string;
  now?: string | null;
  new: string | null;
  error?: string | null;
  allowed?: string | null;
}
export type Verdict = 'change' | 'new' | 'same' | 'check' | 'bad';
export interface ImportRow {
  row: number;
  gateway: Id | null; // null: it is not known yet, or none is named
  name: string;
  serial: string;
  verdict: Verdict;
  text: string; // "E119, 10034: 1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193."
  state: 'none' | 'waiting' | 'applied' | 'failed' | 'undo' | 'undone' | 'conflict';
  move: 'none' | 'waiting' | 'ordered' | 'back' | 'failed';
  cells: ImportCell[];
}

// ---- tunnels ----

export interface TunnelStatus {
  known: boolean;
  gateways: { places: number; up: number; moving: number };
  version?: string;
  problem?: string;
  gateways_file?: string;
  alarms?: string[];
}

export interface PoolConflict {
  kind: 'pool' | 'lan' | 'wan' | 'too-small';
  port?: number;
  prefix?: string;
  gateway?: Id;
  name?: string;
  slots?: number;
  used?: number;
}
export interface PoolPlan {
  port: number;
  pool: string;
  limit: number;
  conflicts: PoolConflict[];
  conflicting_pools: number;
  conflicting_gateways: number;
  restart_needed: boolean;
  text: string;
}

export interface RefusedJoin {
  id: Id;
  at: Time; // the last of them
  first_at: Time;
  repeats: number;
  port: number;
  name: string;
  gateway: Id | null;
  remote: string;
  transport: 'tcp' | 'udp';
  client: string;
  reason: string;
  text: string;
  cure: string;
  key_hash: string | null;
  can_create: boolean;
}

// ---- enrolment ----

export interface EnrolmentToken {
  id: Id;
  tenant: Id;
  group: Id;
  state: string;
  note: string;
  created: Time;
  by: string;
  expires: Time;
  gateway?: Id;
  used?: Time;
  serial?: string;
}
export interface NewToken {
  id: Id;
  token: string;
  expires: Time;
}
export interface EnrolmentRequest {
  id: Id;
  tenant: Id;
  group: Id;
  token: Id;
  serial: string;
  key: string;
  state: 'waiting' | 'approved' | 'refused';
  remote: string;
  created: Time;
  gateway?: Id;
  decided?: Time;
  by?: string;
}
export interface Authority {
  key: string;
  kind: string;
  name: string;
  issues: boolean;
  from: Time;
  until: Time;
  gateways: number;
}

// ---- admin ----

export interface Tenant {
  id: Id;
  slug: string;
  title: string;
  created_at?: Time;
  gateways?: number;
  gateways_max?: number;
}
export interface Group {
  id: Id;
  tenant: Id;
  parent: Id; // "0": directly under the tenant
  name: string;
  created_at: Time;
  gateways: number;
  gateways_below: number;
}
export interface UserRole extends Binding {
  id: Id;
}
export interface User {
  id: Id;
  tenant: Id;
  name: string;
  login_name: string;
  title: string;
  disabled: boolean;
  must_change_password: boolean;
  created_at: Time;
  password_at: Time;
  roles: UserRole[];
  password?: string; // made by the server, once
}
export interface AuditEntry {
  id: Id;
  at: Time;
  tenant?: Id;
  actor: string;
  remote: string;
  action: string;
  object: string;
  result: string;
  detail: string;
}
export interface AuditCheck {
  is_whole: boolean;
  entries: number;
  hash: string;
  broken_at?: Id;
}
