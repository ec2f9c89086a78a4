// What the API answers, as far as the console uses it. Ids are decimal strings, times seconds since 1970 UTC.

export type Id = string;
export type Time = number;

export interface List<T> {
  items: T[];
  next?: string;
  total?: number;
}

export type LampState = 'up' | 'degraded' | 'down' | 'pending' | 'unknown' | 'resting';
export interface Lamps {
  checkin: LampState;
  tunnel: LampState;
}

export type RoleName = 'viewer' | 'operator' | 'tenant-admin' | 'system-admin';
export interface Binding {
  role: RoleName;
  tenant: Id; // "0": the whole server
  group: Id; // "0": the whole tenant
}

export interface Me {
  name: string;
  kind: 'login' | 'local' | 'token';
  must_change_password: boolean;
  roles: Binding[];
  id?: Id;
  tenant?: Id;
}

export interface Login {
  id: Id;
  remote: string;
  created_at: Time;
  seen_at: Time;
  expires_at: Time;
  is_this: boolean;
}

export interface ApiToken extends Binding {
  id: Id;
  user: Id;
  user_name: string;
  name: string;
  created_at: Time;
  expires_at: Time;
  used_at: Time;
  token?: string; // in the answer that makes it, once
}

// ---- the tree ----

export interface TreeGroup {
  id: Id;
  parent: Id | null;
  name: string;
  count: number; // with what is below, like all of these
  checkin: { up: number; late: number; missing: number; never: number };
  tunnel: { up: number; down: number; resting: number; never: number };
  pending: number;
}
export interface TreeTenant {
  id: Id;
  slug?: string;
  name: string;
  groups: TreeGroup[]; // the first is the tenant's own
}
export interface Tree {
  tenants: TreeTenant[];
}

// ---- gateways ----

export type GatewayKind = 'amm' | 'openvpn' | 'aleos';
export type Value = string | number | boolean | null | string[] | { set: boolean } | Record<string, unknown>;

/** A row of the tree: GET /gateways?fields=tree. */
export interface GatewayCompact {
  id: Id;
  name: string;
  label: string;
  tenant: Id;
  group: Id;
  kind: GatewayKind;
  lamps: Lamps;
}

export interface GatewayTunnel {
  up: boolean;
  port: number | null;
  address: string | null;
  since: Time | null;
  stale?: boolean;
  move_port?: number;
  move_until?: Time;
  error?: string;
  error_at?: Time;
}

export type PageState = 'ready' | 'tunnel-down' | 'waiting' | 'unavailable' | 'key-changed';
export interface GatewayPage {
  scheme: 'http' | 'https';
  port: number | null; // null: not known
  state: PageState;
  why?: string;
  cure?: string;
  visitors?: number;
  new_key?: string; // what it shows now, if that is another
}

/** GET /gateways/{id}/page-key: the key that is pinned, and another that was seen since. */
export interface PageKey {
  sha256: string | null;
  at: Time | null;
  by: string;
  new: string | null;
  new_at: Time | null;
}
/** GET /gateways/{id}/page-credentials: never the secret. */
export interface PageCredentials {
  set: boolean;
  type: 'basic' | 'none';
  at: Time | null;
  by: string | null;
}

export interface Gateway extends GatewayCompact {
  serial: string;
  note: string;
  access: string;
  clone: boolean;
  sync: string;
  sync_text: string;
  last_checkin: Time | null;
  heartbeat: number | null;
  late: boolean;
  open_operations: number;
  tunnel: GatewayTunnel;
  page?: GatewayPage;
  stats?: Record<string, Value>;
}

export interface Requirement {
  supported: boolean;
  fault?: boolean;
  why?: string;
  cure?: string;
}

export interface Identity {
  id: Id;
  key_hash: string;
  not_before: Time;
  not_after: Time;
  revoked_at: Time | null;
}

/** GET /gateways/{id}. */
export interface GatewayWhole extends Gateway {
  stats: Record<string, Value>;
  created_at: Time;
  access_reason: string;
  access_at: Time | null;
  first_checkin: Time | null;
  interval: number;
  late_at: Time | null;
  seq: number;
  starts: number;
  booted_at: Time | null;
  clock: string;
  clock_skew: number | null;
  revision: number;
  revision_taken: number;
  settings_error: string | null;
  identities: Identity[];
  requirements: Record<string, Requirement>;
}

/** GET /gateways/{id}/tunnel. */
export interface TunnelDetails {
  state: 'none' | 'unknown' | 'up' | 'down';
  port: number;
  slot: number;
  since: Time;
  move_port?: number;
  move_until?: Time;
  error?: string;
  error_at?: Time;
  address?: string;
  remote?: string;
  transport?: 'tcp' | 'udp';
  client?: string;
  key_hash?: string;
  heard_at?: Time;
  rx_bytes?: number;
  tx_bytes?: number;
  cipher?: string;
}

export interface TunnelPort {
  port: number;
  pool: string;
  topology: string;
  gateways: { places: number; up: number; moving: number };
  free: number;
  draining: boolean;
  limit?: number;
  taken?: number;
  up?: number;
}

export interface ParameterValue {
  id: number;
  name?: string;
  reported?: Value;
  desired?: { value: Value; from: 'template' | 'gateway' | 'own'; group: Id | null; at: Time; by: string };
  pending?: boolean;
}
export interface Parameters {
  items: ParameterValue[];
  sync: string;
  sync_text: string;
  revision: number;
  revision_taken: number;
  settings_error?: string;
}

/** GET /parameters: the registry. */
export interface ParameterKind {
  id: number;
  name: string;
  help: string;
  allowed: string;
  settable: boolean;
  secret: boolean;
  activation: 'now' | 'reboot';
  unit?: string;
  initial?: Value;
}

export interface ParameterChange {
  id: Id;
  parameter: number;
  name: string;
  old: string | null;
  new: string | null;
  local: boolean;
  at: Time;
  by: string;
}

export interface GatewayEvent {
  id: Id;
  gateway: Id;
  name: string;
  source: 'gateway' | 'server';
  at: Time;
  received_at: Time;
  kind: string;
  text: string;
  data?: unknown;
}

export type OperationState =
  | 'queued' | 'taken' | 'running' | 'done' | 'failed' | 'refused' | 'cancelled' | 'expired' | 'unknown';
export interface Operation {
  id: string;
  gateway: Id;
  gateway_name?: string;
  kind: string;
  state: OperationState;
  text: string;
  by: string;
  created_at: Time;
  expires_at: Time;
  taken_at?: Time;
  ended_at?: Time;
  args?: Record<string, unknown>;
  result?: Record<string, unknown>;
}
export interface OperationKind {
  kind: string;
  doc: string;
  destructive: boolean;
}

export type RemoteSessionState = 'waiting' | 'ready' | 'open' | 'ended';
export interface RemoteSession {
  id: Id;
  gateway: Id;
  gateway_name: string;
  operator: string;
  reason: string | null;
  state: RemoteSessionState;
  opened_at: Time;
  entered_at: Time | null;
  last_at: Time | null;
  ended_at: Time | null;
  end_reason: string | null;
  url: string;
  requests: number;
  bytes_in: number;
  bytes_out: number;
  remote: string | null;
  expires_at: Time;
  idle: number;
  forward?: string | null; // what a forward leads to; none for a web page
  ticket?: string; // once
  enter?: string;
  expected_wait?: number;
}

export interface TestStep {
  name: 'ping' | 'tcp' | 'tls' | 'page' | 'mtu';
  ok: boolean;
  text: string;
  ms: number | null;
}

export interface History {
  stat: string;
  unit: string;
  points: [Time, number][];
  gaps?: [Time, Time][];
  tunnel?: [Time, Time][]; // outages
  /** Bytes in steps of `traffic_step` s; `page` is part of the tunnel's. */
  traffic?: { at: Time; checkin: number; tunnel_in: number; tunnel_out: number; page: number }[];
  traffic_step?: number;
}

/** GET /search: at most 20. */
export type SearchHit =
  | { kind: 'group'; id: Id; tenant: Id; name: string; parent: Id | null }
  | (Omit<GatewayCompact, 'kind'> & { kind: 'gateway'; router: GatewayKind; serial: string });

export interface ServerInfo {
  version: string;
  time: Time;
  store: string;
}
