// A real ammd on loopback with the console's files and a made-up fleet, for the tests of the pages that need one.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail } from './harness.mjs';

const top = join(dirname(fileURLToPath(import.meta.url)), '../..');
const NOBODY = 65534; // Debian's nobody and nogroup

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class Ammd {
  /** `build`: folder with the programs; `fixture`: so many gateways that have checked in (bench/fleet_fixture.c). */
  static async start({ build = process.env.AMM_BUILD ?? join(top, 'build'), fixture = 0 } = {}) {
    const ammd = new Ammd();
    ammd.build = build;
    ammd.folder = mkdtempSync(join(tmpdir(), 'amm-console-'));
    chmodSync(ammd.folder, 0o755);
    [ammd.port, ammd.gatewayPort, ammd.metrics] = [await freePort(), await freePort(), await freePort()];
    ammd.base = `http://127.0.0.1:${ammd.port}`;
    ammd.program = (name) => join(build, name === 'fleet_fixture' ? 'bench' : 'bin', name);
    execFileSync(ammd.program('ammctl'), ['pki', 'init', '--pki', join(ammd.folder, 'pki')]);
    writeFileSync(join(ammd.folder, 'amm.conf'), `
gateways = ${ammd.folder}/db/gateways.conf
crl = ${ammd.folder}/db/crl.pem
pki = ${ammd.folder}/pki
[manager]
user = nobody
database = ${ammd.folder}/db/fleet.db
backups = ${ammd.folder}/backups
socket = ${ammd.folder}/ammd.sock
console = 127.0.0.1:${ammd.port}
console-files = ${join(top, 'web/dist')}
gateways = 127.0.0.1:${ammd.gatewayPort}
metrics = 127.0.0.1:${ammd.metrics}
api-rate = 0
[cad]
user = daemon
socket = ${ammd.folder}/cad.sock
state = ${ammd.folder}/cad
`);
    await ammd.runCad();
    await ammd.run(); // the first start makes the database, and tells the password
    ammd.password = /^ {4}(\S+)$/m.exec(ammd.output)?.[1] ?? fail(`no password: ${ammd.output}`);
    if (fixture > 0) {
      await ammd.end();
      const database = join(ammd.folder, 'db');
      execFileSync(ammd.program('fleet_fixture'), [join(database, 'fleet.db'), join(ammd.folder, 'pki'), String(fixture), '0', join(ammd.folder, 'certificates')]);
      for (const name of ['', ...readdirSync(database)]) chownSync(join(database, name), NOBODY, NOBODY);
      await ammd.run();
    }
    return ammd;
  }

  async run() {
    this.output = '';
    this.process = spawn(this.program('ammd'), ['--config', join(this.folder, 'amm.conf')]);
    this.process.stdout.on('data', (text) => { this.output += text; });
    this.process.stderr.on('data', (text) => { this.output += text; });
    this.ended = new Promise((resolve) => this.process.on('exit', (code, signal) => resolve(code ?? signal)));
    const until = Date.now() + 30000;
    for (;;) {
      if (this.process.exitCode !== null || Date.now() > until) fail(`ammd did not start: ${this.output}`);
      const answer = await fetch(`${this.base}/api/v1/me`).catch(() => null);
      if (answer?.status === 401) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Without it there are no tokens and no connection files. */
  async runCad() {
    let said = '';
    this.cad = spawn(this.program('amm-cad'), ['--config', join(this.folder, 'amm.conf')]);
    await new Promise((resolve, reject) => {
      this.cad.stderr.on('data', (text) => {
        said += text;
        if (said.includes('event=ready')) resolve();
      });
      this.cad.on('exit', (code) => reject(new Error(`amm-cad ended with ${code}: ${said}`)));
    });
    this.cad.removeAllListeners('exit');
  }

  async end() {
    this.process.kill('SIGTERM');
    return this.ended;
  }

  async stop() {
    const code = await this.end();
    this.cad.kill('SIGTERM');
    await new Promise((resolve) => (this.cad.exitCode === null && this.cad.signalCode === null ? this.cad.on('exit', resolve) : resolve()));
    rmSync(this.folder, { recursive: true, force: true });
    if (code !== 0) fail(`ammd ended with ${code}: ${this.output}`);
  }

  /** Logs in, gives the one-time password up for another, and keeps the cookie for `ask`. */
  async logIn(password = 'a long password for tests') {
    const first = await this.ask('POST', '/login', { user: 'admin', password: this.password });
    if (first.must_change_password) await this.ask('POST', '/me/password', { old: this.password, new: password });
    this.password = password;
    await this.ask('POST', '/login', { user: 'admin', password });
    return this;
  }

  async ask(method, path, body) {
    const response = await fetch(`${this.base}/api/v1${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', 'X-AMM-Request': '1', ...(this.cookie ? { Cookie: this.cookie } : {}) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const cookie = /^(amm=[^;]+)/.exec(response.headers.get('set-cookie') ?? '')?.[1];
    if (cookie) this.cookie = cookie;
    const text = await response.text();
    if (!response.ok) fail(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Groups and gateways, as somebody who has not enrolled them yet would make them. */
  async addGateways(count) {
    const group = await this.ask('POST', '/groups', { name: 'Buses' });
    for (let from = 0; from < count; from += 1000) {
      const gateways = Array.from({ length: Math.min(1000, count - from) }, (_, i) => ({
        name: `bus-${String(from + i).padStart(5, '0')}`, serial: `N72${String(1000000 + from + i)}` }));
      await this.ask('POST', '/gateways', { group: group.id, gateways });
    }
    return group;
  }

  /** A browser context that is logged in. */
  async context(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    const [name, value] = this.cookie.split('=');
    await context.addCookies([{ name, value, url: this.base }]);
    return context;
  }
}
