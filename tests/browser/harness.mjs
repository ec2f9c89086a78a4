// What the browser tests share: the pages of a made-up gateway (preview.c), Debian's chromium, and a place for
// what a page must not do.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const chromiumPath = '/usr/bin/chromium';

export async function launch(...args) {
  // as root there is no sandbox to be had; the pages are our own
  return chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', ...args] });
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export function fail(text) {
  throw new Error(text);
}

export function equal(got, expected, what) {
  if (got !== expected) fail(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`);
}

export class Gateway {
  static async start(program, kind) {
    const gateway = new Gateway();
    gateway.folder = mkdtempSync(join(tmpdir(), 'amm-browser-'));
    gateway.port = await freePort();
    gateway.base = `https://127.0.0.1:${gateway.port}`;
    gateway.process = spawn(program, [gateway.folder, String(gateway.port), kind]);
    gateway.output = '';
    gateway.process.stdout.on('data', (text) => { gateway.output += text; });
    gateway.process.stderr.on('data', (text) => { gateway.output += text; });
    gateway.ended = new Promise((resolve) => gateway.process.on('exit', (code, signal) => resolve(code ?? signal)));
    const until = Date.now() + 30000;
    while (!gateway.output.includes('page-open')) {
      if (Date.now() > until || gateway.process.exitCode !== null) fail('the gateway did not start: ' + gateway.output);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return gateway;
  }

  get password() {
    return readFileSync(join(this.folder, 'page-label'), 'utf8').match(/password: (.*)/)[1];
  }

  // The last line: what the core was told.
  async stop() {
    this.process.kill('SIGTERM');
    const code = await this.ended;
    if (existsSync(this.folder)) rmSync(this.folder, { recursive: true });
    equal(code, 0, 'exit code of the gateway: ' + this.output);
    return this.output.trim().split('\n').pop();
  }
}

// A page that remembers what it must not do: dialogs, errors, refused resources, requests to elsewhere.
export async function open(browser, gateway, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.sins = [];
  page.on('dialog', (dialog) => {
    if (dialog.type() !== 'beforeunload') page.sins.push('dialog ' + dialog.type());
    dialog.accept();
  });
  page.on('pageerror', (error) => page.sins.push('error ' + error.message));
  page.on('console', (line) => {
    // refused forms are answered with 4xx, and chromium says so
    if (line.type() === 'error' && !/status of 4\d\d/.test(line.text())) page.sins.push('console ' + line.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(gateway.base)) page.sins.push('request to ' + request.url());
  });
  return page;
}

export async function logIn(page, gateway) {
  await page.goto(gateway.base + '/login');
  await page.fill('#password', gateway.password);
  await page.click('text="Log in" >> nth=-1');
  await page.waitForURL('**/status');
}

export const pages = ['status', 'wan', 'lan', 'security', 'services/msci', 'services/time', 'applications', 'admin/password',
  'admin/diagnostics', 'admin/visits', 'admin/reboot', 'admin/reset'];
