// Two hostile gateways beside a console that is logged in, in one browser; and a second browser that got the link.
//
//   node hostile.mjs CONSOLE USER PASSWORD URL ENTER TICKET URL ENTER TICKET
//
// Prints JSON: what the first page's attacks came to, what the console says afterwards, the cookies, what a second browser
// sees, and what went elsewhere.
import { launch } from './harness.mjs';

const [console_, user, password, ...words] = process.argv.slice(2);
const sessions = [words.slice(0, 3), words.slice(3, 6)].map(([base, enter, ticket]) => ({ base, enter, ticket }));
const allowed = new Set([console_, ...sessions.map((session) => session.base)].map((url) => new URL(url).host));
const elsewhere = [], dialogs = [];

async function open(context, { base, enter, ticket }) {
  const page = await context.newPage();
  await page.setContent(`<form method=post action="${enter}"><input name=ticket value="${ticket}"><button>go</button></form>`);
  await page.click('button');
  await page.waitForURL((url) => url.origin === base && !url.pathname.startsWith('/.amm/'));
  return page;
}

const browser = await launch();
try {
  const context = await browser.newContext();
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && !allowed.has(url.host)) elsewhere.push(request.url());
  });
  context.on('page', (page) => page.on('dialog', (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); }));

  const login = await context.request.post(console_ + '/api/v1/login', { data: { user, password } });
  if (!login.ok()) throw new Error('login: ' + (await login.text()));

  const second = await open(context, sessions[1]); // so that its cookies are there to be stolen
  await second.waitForFunction(() => window.report);
  const first = await open(context, sessions[0]);
  await first.waitForFunction(() => window.report, undefined, { timeout: 40000 });
  const report = await first.evaluate(() => window.report);
  const again = await second.goto(sessions[1].base + '/after');

  const stranger = await (await browser.newContext()).newPage();
  const leaked = await stranger.goto(sessions[0].base + '/');
  const text = await stranger.innerText('body');
  await stranger.setContent(`<form method=post action="${sessions[0].enter}"><input name=ticket value="${sessions[0].ticket}"><button>go</button></form>`);
  const [used] = await Promise.all([stranger.waitForResponse((answer) => answer.url() === sessions[0].enter), stranger.click('button')]);
  console.log(JSON.stringify({
    report, elsewhere, dialogs,
    me: (await context.request.get(console_ + '/api/v1/me')).status(),
    again: again.status(),
    cookies: await context.cookies(),
    leaked: { status: leaked.status(), text },
    used: used.status(),
    headers: again.headers(),
  }));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
await browser.close();
