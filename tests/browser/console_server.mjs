// The console's files and a made-up API behind them, with the headers that ammd sends (src/manager/console_files.c), on
// loopback. For the browser tests, and by hand: node tests/browser/console_server.mjs [PORT], then admin and any password.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compact, historyOf, isBelow, makeFleet, NOW, parametersOf, registry, treeOf, whole } from './console_fleet.mjs';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../../web/dist');
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml' };

export function policy(formOrigins) {
  return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; " +
    `connect-src 'self'; worker-src 'self'; form-action 'self' ${formOrigins}; frame-ancestors 'none'; base-uri 'none'; ` +
    "require-trusted-types-for 'script'; trusted-types amm";
}

class Refusal extends Error {
  constructor(status, error, text, more = {}) {
    super(text);
    this.status = status;
    this.body = { error, text, ...more };
  }
}

const list = (items) => ({ items });

export class ConsoleServer {
  constructor() {
    this.fleet = makeFleet();
    this.user = { name: 'admin', kind: 'login', must_change_password: false, id: '1', tenant: '1', roles: [{ role: 'system-admin', tenant: '0', group: '0' }] };
    this.isIn = true;
    this.password = null; // any
    this.preferences = {};
    this.requests = []; // "METHOD /path" of all that changed something
    this.listeners = new Set();
    this.operations = [];
    this.sessions = [];
    this.number = 1;
    this.routes = this.makeRoutes();
  }

  static async start(port = 0) {
    const server = new ConsoleServer();
    server.http = createServer((request, response) => void server.answer(request, response));
    await new Promise((resolve) => server.http.listen(port, '127.0.0.1', resolve));
    server.base = `http://127.0.0.1:${server.http.address().port}`;
    return server;
  }

  /** Where pages of gateways are: another site than the console, as in the field. */
  get gatewayOrigin() {
    return `http://abcdefghijklmnopqrstuvwxyz.localhost:${this.http.address().port}`;
  }

  stop() {
    for (const one of this.listeners) one.end();
    this.http.closeAllConnections?.();
    return new Promise((resolve) => this.http.close(resolve));
  }

  /** What ammd tells browsers. */
  publish(kind, data) {
    this.number++;
    for (const one of this.listeners) one.write(`id: 1-${this.number}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  gateway(id) {
    const found = this.fleet.gateways.get(id);
    if (!found) throw new Refusal(404, 'not-found', 'there is no such thing');
    return found;
  }

  addOperation(id, body) {
    const gateway = this.gateway(id);
    const operation = { id: `op${this.number++}`, gateway: id, gateway_name: gateway.name, kind: body.kind, state: 'queued', text: 'Sent at the next check-in', by: this.user.name, created_at: Math.floor(Date.now() / 1000), expires_at: NOW + 86400 };
    this.operations.unshift(operation);
    return operation;
  }

  openSession(id, body) {
    const gateway = this.gateway(id);
    if (!gateway.tunnel.up && !body.order_tunnel) {
      throw new Refusal(409, 'tunnel-down', 'the tunnel has been down for 26 min', { since: NOW - 1560, can_order: true, expected_wait: 360 });
    }
    const session = { id: String(this.number++), gateway: id, gateway_name: gateway.name, operator: this.user.name, reason: body.reason ?? null, state: gateway.tunnel.up ? 'ready' : 'waiting', opened_at: Math.floor(Date.now() / 1000), entered_at: null, last_at: null, ended_at: null, end_reason: null, url: `${this.gatewayOrigin}/`, requests: 0, bytes_in: 0, bytes_out: 0, remote: null, expires_at: NOW + 28800, idle: 900, expected_wait: 360 };
    this.sessions.unshift(session);
    return gateway.tunnel.up ? { ...session, ticket: 't'.repeat(43), enter: `${this.gatewayOrigin}/.amm/enter` } : session;
  }

  gateways(query) {
    const text = (query.get('text') ?? '').toLowerCase();
    let items = [...this.fleet.gateways.values()].filter((one) =>
      (!query.get('group') || isBelow(this.fleet, one.group, query.get('group'))) &&
      (!query.get('tunnel') || one.tunnel.up === (query.get('tunnel') === 'up')) &&
      (!query.get('late') || one.late === (query.get('late') === 'true')) &&
      (text === '' || `${one.name} ${one.serial} ${one.label}`.toLowerCase().includes(text)));
    const total = items.length;
    const limit = Number(query.get('limit') ?? 100);
    const from = Number(query.get('after') ?? 0);
    items = items.slice(from, from + limit);
    return { items: query.get('fields') === 'tree' ? items.map(compact) : items, ...(from + limit < total ? { next: String(from + limit) } : {}), ...(query.get('total') ? { total } : {}) };
  }

  makeRoutes() {
    const me = () => this.user;
    const gatewayOperations = (id) => list(this.operations.filter((one) => one.gateway === id));
    return {
      'POST /login': (_, body) => {
        if (this.password !== null && body.password !== this.password) throw new Refusal(401, 'wrong-login', 'name or password is wrong');
        this.isIn = true;
        return me();
      },
      'POST /logout': () => void (this.isIn = false),
      'GET /me': me,
      'POST /me/password': (_, body) => {
        if (body.new.length < 10) throw new Refusal(400, 'bad-password', 'a password has 10 to 256 bytes', { field: 'new' });
        this.user.must_change_password = false;
      },
      'GET /me/preferences': () => this.preferences,
      'PUT /me/preferences': (_, body) => (this.preferences = body),
      'GET /logins': () => list([
        { id: '1', remote: '198.51.100.7', created_at: NOW - 3600, seen_at: NOW - 5, expires_at: NOW + 40000, is_this: true },
        { id: '2', remote: '203.0.113.20', created_at: NOW - 90000, seen_at: NOW - 40000, expires_at: NOW + 3000, is_this: false }]),
      'DELETE /logins/:id': () => undefined,
      'GET /tokens': () => list([{ id: '1', user: '1', user_name: 'admin', name: 'backup-script', role: 'viewer', tenant: '1', group: '0', created_at: NOW - 900000, expires_at: NOW + 5000000, used_at: NOW - 300 }]),
      'POST /tokens': (_, body) => ({ ...body, id: '9', user: '1', user_name: 'admin', tenant: '0', group: '0', created_at: NOW, expires_at: NOW + 7776000, used_at: 0, token: `amm_${'s'.repeat(43)}` }),
      'DELETE /tokens/:id': () => undefined,
      'GET /server': () => ({ version: '1.0.0', time: NOW, store: 'ok' }),
      'GET /tree': () => treeOf(this.fleet),
      'GET /search': (query) => {
        const q = (query.get('q') ?? '').toLowerCase();
        const named = (one) => one.name.toLowerCase().includes(q);
        const groups = this.fleet.groups.filter(named).slice(0, 8).map((one) => ({ kind: 'group', tenant: '1', ...one }));
        const gateways = [...this.fleet.gateways.values()].filter(named).slice(0, 20 - groups.length);
        return list([...groups, ...gateways.map((one) => ({ ...compact(one), kind: 'gateway', router: one.kind, serial: one.serial }))]);
      },
      'GET /gateways': (query) => this.gateways(query),
      'GET /gateways/:id': (_, __, id) => whole(this.gateway(id)),
      'PATCH /gateways/:id': (_, body, id) => whole(Object.assign(this.gateway(id), body)),
      'GET /gateways/:id/tunnel': (_, __, id) => {
        const { tunnel } = this.gateway(id);
        return { state: tunnel.up ? 'up' : 'down', port: tunnel.port, slot: 7, since: tunnel.since ?? 0, ...(tunnel.up ? { address: tunnel.address, remote: '198.51.100.77:40112', transport: 'udp', client: 'ammer 1.0.3.011', heard_at: NOW - 12, rx_bytes: 12100000, tx_bytes: 9700000, cipher: 'AES-256-GCM' } : { error: 'no answer to keep-alives', error_at: NOW - 1560 }) };
      },
      'PUT /gateways/:id/tunnel': (_, body, id) => {
        if (![1190, 1191, 1192, 1193].includes(body.port)) throw new Refusal(400, 'bad-value', '1194 is no tunnel port', { field: 'port' });
        Object.assign(this.gateway(id).tunnel, { move_port: body.port, move_until: NOW + 60 });
        return {};
      },
      'GET /gateways/:id/parameters': (_, __, id) => parametersOf(this.gateway(id)),
      'PATCH /gateways/:id/parameters': (_, body, id) => {
        const answer = parametersOf(this.gateway(id));
        for (const [key, value] of Object.entries(body.values)) {
          if (key === '10034' && ![1190, 1191, 1192, 1193].includes(value)) throw new Refusal(400, 'bad-value', `10034: ${value} is no tunnel port. Allowed: 1190, 1191, 1192, 1193.`, { field: '10034' });
          const found = answer.items.find((one) => String(one.id) === key);
          if (value === null) delete found.desired;
          else Object.assign(found, { desired: { value, from: 'own', group: null, at: NOW, by: this.user.name }, pending: true });
        }
        return answer;
      },
      'GET /gateways/:id/parameters/history': () => list([
        { id: '2', parameter: 60003, name: 'Check-in interval', old: '900', new: '1800', local: false, at: NOW - 7000, by: 'depot-east' },
        { id: '1', parameter: 1154, name: 'Device name', old: null, new: 'Bus 1047', local: true, at: NOW - 90000, by: 'user' }]),
      'POST /gateways/:id/parameters/retry': (_, __, id) => parametersOf(this.gateway(id)),
      'GET /parameters': () => list(registry),
      'GET /gateways/:id/events': (_, __, id) => list([
        { id: '3', gateway: id, name: '', source: 'server', at: NOW - 43860, received_at: NOW - 43860, kind: 'tunnel-up', text: 'up on port 1190 with address 10.4.37.122' },
        { id: '2', gateway: id, name: '', source: 'server', at: NOW - 46440, received_at: NOW - 46440, kind: 'tunnel-down', text: 'no answer to keep-alives' },
        { id: '1', gateway: id, name: '', source: 'gateway', at: NOW - 90000, received_at: NOW - 90000, kind: 'setting', text: 'Device name was set on the page' }]),
      'GET /gateways/:id/operations': (_, __, id) => gatewayOperations(id),
      'POST /gateways/:id/operations': (_, body, id) => this.addOperation(id, body),
      'GET /operations': (query) => list(this.operations.filter((one) => query.get('state') !== 'failed' && (query.get('state') !== 'open' || !one.ended_at))),
      'POST /operations/:id/cancel': (_, __, id) => Object.assign(this.operations.find((one) => one.id === id), { state: 'cancelled', ended_at: NOW }),
      'GET /gateways/:id/remote-sessions': (_, __, id) => list(this.sessions.filter((one) => one.gateway === id)),
      'POST /gateways/:id/remote-sessions': (_, body, id) => this.openSession(id, body),
      'POST /remote-sessions/:id/ticket': () => ({ ticket: 't'.repeat(43), enter: `${this.gatewayOrigin}/.amm/enter` }),
      'DELETE /remote-sessions/:id': (_, __, id) => void Object.assign(this.sessions.find((one) => one.id === id), { state: 'ended', ended_at: NOW, end_reason: 'ended by admin' }),
      'GET /gateways/:id/page-key': (_, __, id) => ({ sha256: 'ab'.repeat(32), at: NOW - 21200000, by: 'first use', new: this.gateway(id).page.new_key ?? null, new_at: null }),
      'GET /gateways/:id/page-credentials': () => ({ set: false, type: 'none', at: null, by: null }),
      'PUT /gateways/:id/page-credentials': () => undefined,
      'POST /gateways/:id/page-key': (_, __, id) => void Object.assign(this.gateway(id).page, { state: 'ready', why: '' }),
      'POST /gateways/:id/test': () => ({ steps: [
        { name: 'ping', ok: true, text: 'answered 3 of 3', ms: 84 }, { name: 'tcp', ok: true, text: 'port 9443 is open', ms: 86 },
        { name: 'tls', ok: true, text: 'the key is the one that is known', ms: 190 }, { name: 'page', ok: true, text: 'the page is named ACEmanager', ms: 240 },
        { name: 'mtu', ok: false, text: 'packets of 1400 bytes do not pass, 1328 do', ms: 900 }] }),
      'GET /gateways/:id/history': (query) => historyOf(query.get('stat'), Number(query.get('from') ?? NOW - 86400), Number(query.get('to') ?? NOW)),
      'GET /tunnel/ports': () => list([1190, 1191, 1192, 1193].map((port) => ({ port, pool: `10.4.${32 + (port - 1190) * 64}.0/19`, topology: 'net30', gateways: { places: 1800, up: 1700, moving: 0 }, free: 247, draining: false, limit: 2047, taken: 1800, up: 1700 }))),
    };
  }

  find(method, path) {
    const parts = path.split('/');
    for (const [route, handle] of Object.entries(this.routes)) {
      const [verb, pattern] = route.split(' ');
      const want = pattern.split('/');
      if (verb !== method || want.length !== parts.length) continue;
      if (want.every((one, i) => one.startsWith(':') || one === parts[i])) return { handle, ids: parts.filter((_, i) => want[i].startsWith(':')) };
    }
    throw new Refusal(404, 'not-found', 'there is no such thing');
  }

  async answerApi(request, response, url) {
    let text = '';
    for await (const piece of request) text += piece;
    const path = url.pathname.slice('/api/v1'.length);
    if (request.method !== 'GET') this.requests.push(`${request.method} ${path} ${text}`);
    if (!this.isIn && path !== '/login') throw new Refusal(401, 'not-logged-in', 'log in first');
    if (request.method !== 'GET' && request.headers['x-amm-request'] !== '1') throw new Refusal(403, 'cross-site', 'the header X-AMM-Request is missing');
    if (path === '/events/stream') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      response.write(': ammd\nretry: 3000\n\n');
      this.listeners.add(response);
      response.on('close', () => this.listeners.delete(response));
      return;
    }
    const { handle, ids } = this.find(request.method, path);
    const body = handle(url.searchParams, text === '' ? {} : JSON.parse(text), ...ids);
    response.writeHead(body === undefined ? 204 : 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(body === undefined ? '' : JSON.stringify(body));
  }

  async answer(request, response) {
    const url = new URL(request.url, this.base);
    try {
      if (url.pathname.startsWith('/api/')) await this.answerApi(request, response, url);
      else if (url.pathname === '/.amm/enter') response.writeHead(200, { 'Content-Type': 'text/html' }).end(`<title>ACEmanager</title><p>${request.method}`);
      else this.answerFile(response, url.pathname);
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      response.writeHead(error.status ?? 500, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(error.body ?? { error: 'test', text: String(error) }));
    }
  }

  answerFile(response, path) {
    const name = normalize(path.startsWith('/assets/') ? path : '/index.html');
    let bytes;
    try {
      bytes = readFileSync(join(dist, `${name}.gz`));
    } catch {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'Content-Type': types[name.split('.').pop()], 'Content-Encoding': 'gzip', 'Content-Security-Policy': policy(`http://*.localhost:${this.http.address().port}`),
      'X-Content-Type-Options': 'nosniff', 'Cross-Origin-Opener-Policy': 'same-origin', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store',
    }).end(bytes);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await ConsoleServer.start(Number(process.argv[2] ?? 8090));
  console.log(server.base);
}
