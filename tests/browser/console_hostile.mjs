// Everything that a gateway says is hostile: 1 000 payloads in its strings, and no script, no request, no report.
import { BUS, show, withConsole } from './console.mjs';
import { equal, fail } from './harness.mjs';

const shapes = [
  (n) => `<script>sin(${n})</script>`, (n) => `<img src=x onerror=sin(${n})>`, (n) => `"><svg onload=sin(${n})>`,
  (n) => `javascript:sin(${n})`, (n) => `</title><script>sin(${n})</script>`, (n) => `'-sin(${n})-'`, (n) => `{{constructor.constructor('sin(${n})')()}}`,
  (n) => `<a href="javascript:sin(${n})">x</a>`, (n) => `<iframe srcdoc="<script>parent.sin(${n})</script>">`, (n) => `\u202e<b>${n}</b>\u0000`,
  (n) => `<style>@import 'http://evil.example/${n}'</style>`, (n) => `<form action=http://evil.example/${n}><button>`, (n) => `<base href=//evil.example/${n}/>`,
  (n) => `<meta http-equiv=refresh content="0;url=//evil.example/${n}">`, (n) => `__proto__${n}`, (n) => `<math><mtext></form><form><mglyph><style></math><img src onerror=sin(${n})>`,
];

/** 1 000 different ones, in every string of the gateway, its parameters, events, operations and sessions. */
function poison(server) {
  let n = 0;
  const next = () => shapes[n % shapes.length](n++);
  const spoil = (value, keep = []) => {
    for (const key of Object.keys(value)) {
      if (keep.includes(key)) continue;
      if (typeof value[key] === 'string') value[key] = next();
      else if (value[key] && typeof value[key] === 'object' && !Array.isArray(value[key])) spoil(value[key], keep);
    }
    return value;
  };
  const fixed = ['id', 'group', 'tenant', 'kind', 'lamps', 'state', 'scheme', 'gateway', 'operator', 'stat'];
  spoil(server.gateway(BUS), fixed);
  const routes = server.routes;
  const wrap = (route, change) => {
    const handle = routes[route];
    routes[route] = (...args) => change(structuredClone(handle(...args)));
  };
  wrap('GET /gateways/:id', (json) => {
    spoil(json.stats);
    for (let i = 0; i < 40; i++) json.stats[next()] = next();
    json.requirements[next()] = { supported: false, fault: true, why: next(), cure: next() };
    return spoil(json, [...fixed, 'stats', 'requirements']);
  });
  wrap('GET /gateways/:id/tunnel', (json) => spoil(json, fixed));
  wrap('GET /gateways/:id/parameters', (json) => {
    for (let i = 0; i < 300; i++) json.items.push({ id: 100000 + i, name: next(), reported: next() });
    json.settings_error = next();
    json.items.forEach((one) => spoil(one, ['from']));
    return json;
  });
  wrap('GET /gateways/:id/parameters/history', (json) => ({ items: json.items.map((one) => spoil(one, ['id'])) }));
  wrap('GET /gateways/:id/events', () => ({ items: Array.from({ length: 100 }, (_, i) => ({ id: String(i), gateway: BUS, name: next(), source: 'gateway', at: 1e9 + i, received_at: 1e9 + i, kind: next(), text: next() })) }));
  wrap('GET /gateways/:id/operations', () => ({ items: Array.from({ length: 60 }, (_, i) => ({ id: `o${i}`, gateway: BUS, gateway_name: next(), kind: next(), state: i % 2 ? 'done' : next(), text: next(), by: next(), created_at: 1e9, expires_at: 2e9 })) }));
  wrap('GET /gateways/:id/remote-sessions', () => ({ items: Array.from({ length: 60 }, (_, i) => ({ id: String(i), gateway: BUS, gateway_name: next(), operator: next(), reason: next(), state: 'ended', opened_at: 1e9, entered_at: 1e9, ended_at: 1e9 + 9, end_reason: next(), url: 'javascript:sin(0)', requests: 1, bytes_in: 1, bytes_out: 1 })) }));
  wrap('GET /gateways/:id/history', (json) => ({ ...json, unit: next(), stat: next() }));
  wrap('POST /gateways/:id/test', (json) => ({ steps: json.steps.map((one) => ({ ...one, text: next() })) }));
  let i = 0;
  for (const gateway of server.fleet.gateways.values()) {
    if (i++ > 250) break;
    if (gateway.id !== BUS) Object.assign(gateway, { name: next(), label: next() });
  }
  for (const group of server.fleet.groups.slice(3)) group.name = next();
  return () => n;
}

export const tests = {
  async 'console: 1 000 payloads in what gateways say run nothing and ask nobody'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      const count = poison(server);
      await page.addInitScript(() => {
        window.sins = [];
        window.sin = (n) => window.sins.push(`ran ${n}`);
        document.addEventListener('securitypolicyviolation', (event) => window.sins.push(`policy ${event.violatedDirective} ${event.blockedURI}`));
      });
      await show(page, server, [`/gateways/${BUS}`, 'h2:has-text("Parameters")']);
      await page.waitForSelector('h2:has-text("Events")');
      await page.click('text=/Show all/ >> nth=-1');
      await page.click('.segments >> text=Changes');
      await page.fill('[aria-label="Search or jump to"]', '<');
      await page.waitForSelector('[role=option]');
      await page.keyboard.press('Escape');
      await page.fill('[aria-label="Find a gateway"]', 'sin(');
      await page.waitForSelector('.tree-note >> text=/first|match/');
      await page.click('button:has-text("Test")');
      await page.waitForSelector('.test-steps .small');
      await page.click('dialog >> text=Close');
      server.publish('gateway', { ...server.gateway(BUS), changes: ['values'] });
      server.publish('event', { gateway: BUS, name: '<img src=x onerror=sin(1)>', kind: 'late', text: '<script>sin(1)</script>', at: 1 });
      await page.click('text=Check in now');
      await page.waitForSelector('.toast');
      await page.goto(`${server.base}/operations?state=all`);
      await page.waitForSelector('h1:has-text("Operations")');
      equal((await page.evaluate(() => window.sins)).join('\n'), '', 'scripts and reports');
      if (count() < 1000) fail(`only ${count()} payloads`);
      equal(await page.evaluate(() => [...document.querySelectorAll('a[href]')].filter((one) => !/^https?:$/.test(one.protocol)).length), 0, 'links to scripts');
    });
  },
};
