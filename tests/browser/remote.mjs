// From the console's click to a gateway's page through amm-proxyd, and what a hostile page of another gateway can do.
// usage: node remote.mjs CONSOLE-URL; the console's page has a form for each gateway, which its button sends.
import { launch, equal, fail } from './harness.mjs';

const console_ = process.argv[2];
const browser = await launch();
const results = {};

// What a page tries against another one and against the console; each must end as it says.
async function attack(page, other) {
  return page.evaluate(async ({ other, console_ }) => {
    const within = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(() => resolve('nothing'), 4000))]);
    const attempt = async (work) => {
      try { return await within(work()); } catch (error) { return 'refused'; }
    };
    const out = {};
    out.opener = String(window.opener);
    out.cookie = /amm-remote/.test(document.cookie);
    document.cookie = 'amm-remote=mine; path=/';
    out.worker = await attempt(() => navigator.serviceWorker.register('/sw.js').then(() => 'registered'));
    out.read = await attempt(() => fetch(other + '/attack-read', { credentials: 'include' }).then((a) => a.text()));
    out.write = await attempt(() => fetch(other + '/attack-write',
      { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=b' }).then((a) => a.type));
    out.console = await attempt(() => fetch(console_ + '/api', { credentials: 'include' }).then((a) => a.text()));
    out.leave = await attempt(() => fetch(other + '/.amm/leave',
      { method: 'POST', mode: 'no-cors', credentials: 'include' }).then((a) => a.type));
    out.socket = await attempt(() => new Promise((resolve) => {
      const socket = new WebSocket(other.replace('http', 'ws') + '/ws');
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('refused');
    }));
    const frame = document.createElement('iframe');
    frame.src = other + '/name';
    document.body.append(frame);
    out.frame = await attempt(() => new Promise((resolve) => {
      frame.onload = () => {
        try { resolve(frame.contentDocument ? 'same' : 'opaque'); } catch { resolve('opaque'); }
      };
    }));
    const form = document.createElement('form');
    form.method = 'post';
    form.action = other + '/attack-form';
    form.target = 'other';
    const target = document.createElement('iframe');
    target.name = 'other';
    document.body.append(target, form);
    await within(new Promise((resolve) => { target.onload = resolve; form.submit(); }));
    return out;
  }, { other, console_ });
}

async function click(context, console, name) {
  const [page] = await Promise.all([context.waitForEvent('page'), console.click(`button[name=${name}]`)]);
  await page.waitForURL(/\/$/);
  return page;
}

try {
  const context = await browser.newContext();
  const console = await context.newPage();
  await console.goto(console_);
  const first = await click(context, console, 'bus-1');
  equal(await first.title(), 'Page of bus-1', 'title');
  const second = await click(context, console, 'bus-2');
  equal(await second.title(), 'Page of bus-2', 'title');

  // The same cookie name at both: each keeps its own.
  for (const [page, name] of [[first, 'bus-1'], [second, 'bus-2']]) {
    await page.goto(new URL('/name', page.url()).href);
    equal(await page.evaluate(() => document.cookie), `who=${name}`, 'cookies of ' + name);
  }
  // A WebSocket of its own, and a link back to the start.
  equal(await first.evaluate(() => new Promise((resolve) => {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused');
  })), 'open', 'WebSocket');
  await first.goto(new URL('/redirect/address', first.url()).href);
  equal(new URL(first.url()).pathname, '/name', 'redirect to the own address');

  results.attack = await attack(first, new URL(second.url()).origin);
  await second.reload();
  equal(await second.textContent('body'), 'bus-2\n', 'the other page goes on');
  await first.goto(new URL('/name', first.url()).href);
  equal(await first.textContent('body'), 'bus-1\n', 'the attacker has its own page only');

  // The link in another browser.
  const stranger = await (await browser.newContext()).newPage();
  const answer = await stranger.goto(second.url());
  equal(answer.status(), 403, 'a leaked link');
  equal(await stranger.textContent('h1'), 'This browser has not entered here', 'page in words');

  // A link from elsewhere: the cookie stays at home, and the page offers the way on.
  await console.goto(console_ + '/link?' + encodeURIComponent(new URL('/name', second.url()).href));
  await console.click('a');
  await console.waitForSelector('h1');
  await console.click('main a');
  await console.waitForFunction(() => document.title === 'Page of bus-2');

  // The end.
  await second.goto(new URL('/.amm/status', second.url()).href);
  await second.click('button');
  await second.waitForFunction(() => /has ended/.test(document.body.textContent));
  results.done = true;
} catch (error) {
  results.error = error.stack;
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(results) + '\n');
if (results.error) fail(results.error);
