// A made-up fleet for the console's tests: 8 000 gateways, always the same. The shapes are those of ammd's API.
export const NOW = Math.floor(Date.now() / 1000);

function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const branches = [
  ['Northfield', null, 0], ['Buses', 0, 0], ['Depot East', 1, 1400], ['Depot North', 1, 1044], ['Depot West', 1, 1212],
  ['Night lines', 1, 800], ['Kiosks', 0, 0], ['Harbour', 6, 204], ['Stations', 6, 2212], ['Pump houses', 0, 440], ['Service vans', 0, 688],
];
const prefixes = { 'Depot East': 'Bus 1', 'Depot North': 'Bus 2', 'Depot West': 'Bus 3', 'Night lines': 'Bus 4', Harbour: 'Kiosk Harbour ', Stations: 'Kiosk Stations ', 'Pump houses': 'Pump ', 'Service vans': 'Van ' };

function makeGateway(id, name, group, rnd) {
  const roll = rnd();
  const tunnel = roll < 0.93 ? 'up' : roll < 0.94 ? 'degraded' : roll < 0.96 ? 'down' : roll < 0.99 ? 'resting' : 'unknown';
  const late = rnd();
  const checkin = tunnel === 'unknown' ? 'unknown' : late < 0.97 ? 'up' : late < 0.99 ? 'degraded' : 'down';
  const port = 1190 + Math.floor(rnd() * 4);
  const isUp = tunnel === 'up' || tunnel === 'degraded';
  const heartbeat = checkin === 'unknown' ? null : checkin === 'up' ? Math.floor(rnd() * 900) : checkin === 'degraded' ? 2300 : 11520;
  const since = NOW - Math.floor(rnd() * 400000) - 600;
  return {
    id: String(id), name, label: rnd() < 0.2 ? `${name} front` : '', tenant: '1', group, kind: rnd() < 0.03 ? 'openvpn' : 'amm',
    lamps: { checkin, tunnel }, serial: `N72041188${String(10000 + id).slice(-5)}`, note: '', access: 'admitted', clone: false,
    sync: rnd() < 0.04 ? 'to-device' : 'in-sync', sync_text: 'In Sync', last_checkin: heartbeat === null ? null : NOW - heartbeat, heartbeat,
    late: checkin === 'degraded', open_operations: 0,
    tunnel: { up: isUp, port, address: isUp ? `10.4.${32 + (id % 190)}.${2 + (id % 60) * 4}` : null, since: tunnel === 'unknown' ? null : since },
    page: { scheme: 'https', port: 9443, state: isUp ? 'ready' : tunnel === 'unknown' ? 'unavailable' : 'tunnel-down', why: isUp ? '' : tunnel === 'unknown' ? 'The gateway has never joined the tunnel.' : 'The tunnel has been down for 26 min: no answer to keep-alives.', cure: tunnel === 'unknown' ? 'Enable the management tunnel (MSCIID 60001) for its group.' : '', visitors: 0 },
  };
}

export function makeFleet() {
  const rnd = random(4);
  const groups = branches.map(([name, parent], i) => ({ id: String(i + 10), parent: parent === null ? null : String(parent + 10), name }));
  const gateways = new Map();
  let id = 100;
  branches.forEach(([name, , count], b) => {
    for (let i = 0; i < count; i++) {
      const gateway = makeGateway(id, `${prefixes[name]}${String(i + 41).padStart(3, '0')}`, groups[b].id, rnd);
      gateways.set(gateway.id, gateway);
      id++;
    }
  });
  return { groups, gateways };
}

export function treeOf(fleet) {
  const empty = () => ({ count: 0, checkin: { up: 0, late: 0, missing: 0, never: 0 }, tunnel: { up: 0, down: 0, resting: 0, never: 0 }, pending: 0 });
  const byId = new Map(fleet.groups.map((one) => [one.id, { ...one, ...empty() }]));
  const checkins = { up: 'up', degraded: 'late', down: 'missing' };
  const tunnels = { up: 'up', degraded: 'up', down: 'down', resting: 'resting' };
  for (const gateway of fleet.gateways.values()) {
    for (let at = byId.get(gateway.group); at; at = byId.get(at.parent)) {
      at.count++;
      at.checkin[checkins[gateway.lamps.checkin] ?? 'never']++;
      at.tunnel[tunnels[gateway.lamps.tunnel] ?? 'never']++;
      at.pending += gateway.sync === 'in-sync' ? 0 : 1;
    }
  }
  return { tenants: [{ id: '1', slug: 'main', name: 'Northfield', groups: [...byId.values()] }] };
}

export function isBelow(fleet, group, top) {
  const byId = new Map(fleet.groups.map((one) => [one.id, one]));
  for (let at = byId.get(group); at; at = byId.get(at.parent)) if (at.id === top) return true;
  return false;
}

export const compact = ({ id, name, label, tenant, group, kind, lamps }) => ({ id, name, label, tenant, group, kind, lamps });

export function whole(gateway) {
  const isOurs = gateway.kind === 'amm';
  const has = gateway.last_checkin !== null && isOurs;
  const page = gateway.page.state === 'unavailable' ? { supported: false, fault: true, why: gateway.page.why, cure: gateway.page.cure } : { supported: true };
  const only = isOurs ? { supported: true } : { supported: false, fault: false, why: 'A router without our software does not check in.', cure: '' };
  return {
    ...gateway,
    stats: has ? {
      SoftwareVersion: '4.17.0.12', Platform: 'MP70', 'AMMER-Version': '1.0.3.011', IMEI: '350000001047186', 'CellLink-ICCID': '8900000000004471',
      'CellLink-CurrentNetworkOperator': 'Carrier A', 'CellLink-RadioFirmwareVersion': 'SWI9X50C_01.14', 'CellLink-RSRP': -82, 'CellLink-SINR': 22,
      'CellLink-RSRQ': -9, 'CellLink-NetworkServiceType': 'LTE', 'CellLink-IPAddress': '100.64.20.7', ResetCount: 2, BootReason: 'reboot by server',
      'GPS Location-latitude': 52.5201, 'GPS Location-longitude': 13.4049, 'GPS-Quality': 1, 'GPS-Satellites': 9, 'Bytes-CheckIn': 4600000,
      'Bytes-Tunnel': 17200000, 'LAN-Prefixes': ['192.168.13.0/24'],
      ...(gateway.tunnel.address ? { 'ManagementTunnel-IPAddress': gateway.tunnel.address } : {}),
    } : {},
    created_at: NOW - 21200000, access_reason: '', access_at: NOW - 21200000, first_checkin: has ? NOW - 21199000 : null, interval: 900,
    late_at: has ? gateway.last_checkin + 1900 : null, seq: 1047, starts: 12, booted_at: has ? NOW - 900000 : null, clock: 'ntp', clock_skew: -41,
    revision: 7, revision_taken: gateway.sync === 'in-sync' ? 7 : 6, settings_error: null,
    identities: [{ id: '1', key_hash: 'ab'.repeat(32), not_before: NOW - 2600000, not_after: NOW + 5270000, revoked_at: null }],
    requirements: { tunnel: { supported: true }, page, 'check-in': only, settings: only, events: only, operations: only, software: only },
  };
}

export const registry = [
  [1154, 'Device name', 'For people: shown here and by the server.', '0 to 64 bytes of text without control characters', true, false, 'now', undefined, ''],
  [1172, 'Local HTTPS port', 'Port of ACEmanager.', '1024 to 65535', true, false, 'reboot', undefined, 9443],
  [10034, 'AMM Management Tunnel Port', 'Port of the server that the management tunnel goes to.', '1190, 1191, 1192, 1193', true, false, 'reboot', undefined, 1190],
  [60001, 'AMM Management Tunnel', 'Persistent tunnel to the server.', 'Disable, Enable', true, false, 'reboot', undefined, 'Disable'],
  [60003, 'Check-in interval', 'Time between two check-ins.', '60 to 86400 s', true, false, 'now', 's', 900],
  [60007, 'ACEmanager remote access', 'ACEmanager never listens on the WAN side.', 'Disabled', false, false, 'now', undefined, 'Disabled'],
  [60009, 'Enrolment token', 'From the server’s operator; used once.', 'amm1 and all that follows, as one text', false, true, 'now', undefined, undefined],
  [261, 'RSSI', 'Strength of the received cellular signal.', '-150 to 0 dBm', false, false, 'now', 'dBm', undefined],
].map(([id, name, help, allowed, settable, secret, activation, unit, initial]) => ({ id, name, help, allowed, settable, secret, activation, ...(unit ? { unit } : {}), ...(initial === undefined ? {} : { initial }) }));

export function parametersOf(gateway) {
  const own = { from: 'own', group: null, at: NOW - 7000, by: 'depot-east' };
  return {
    items: [
      { id: 1154, name: 'Device name', reported: gateway.label || gateway.name },
      { id: 1172, name: 'Local HTTPS port', reported: 9443 },
      { id: 10034, name: 'AMM Management Tunnel Port', reported: gateway.tunnel.port, desired: { value: gateway.tunnel.port, ...own, from: 'template', group: gateway.group }, pending: false },
      { id: 60001, name: 'AMM Management Tunnel', reported: 'Enable', desired: { value: 'Enable', ...own, from: 'template', group: gateway.group }, pending: false },
      { id: 60003, name: 'Check-in interval', reported: 900, desired: { value: 1800, ...own }, pending: true },
      { id: 60007, name: 'ACEmanager remote access', reported: 'Disabled' },
      { id: 60009, name: 'Enrolment token', reported: { set: true } },
      { id: 261, name: 'RSSI', reported: -71 },
      { id: 424242, reported: 'of a newer gateway' },
    ],
    sync: 'to-device', sync_text: 'Pending (sync to device)', revision: 7, revision_taken: 6,
  };
}

export function historyOf(stat, from, to) {
  const rnd = random(stat.length * 7919);
  const step = Math.max(300, Math.floor((to - from) / 288));
  const levels = { 'CellLink-RSRP': [-92, 14], 'CellLink-SINR': [14, 8], 'CellLink-RSRQ': [-10, 3] };
  const [middle, swing] = levels[stat] ?? [50, 20];
  const outage = [from + (to - from) * 0.46, from + (to - from) * 0.49];
  const points = [];
  let walk = 0;
  for (let at = from; at <= to; at += step) {
    walk = walk * 0.92 + (rnd() - 0.5) * swing * 0.5;
    if (at < outage[0] || at > outage[1]) points.push([Math.floor(at), Math.round((middle + walk) * 10) / 10]);
  }
  const traffic = [];
  for (let at = Math.floor(from / 3600) * 3600; at < to; at += 3600) {
    const page = rnd() < 0.15 ? 200000 + rnd() * 300000 : 0;
    traffic.push({ at, checkin: 6000 + rnd() * 1500, tunnel_in: page * 0.9 + 6000 + rnd() * 1000, tunnel_out: page * 0.1 + 5000 + rnd() * 1000, page });
  }
  return { stat, unit: stat.includes('RSRP') ? 'dBm' : 'dB', points, gaps: [outage], tunnel: [outage], traffic, traffic_step: 3600 };
}
