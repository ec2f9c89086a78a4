// node screenshots.mjs FOLDER [URL]: pictures of the console's main pages, of the made-up fleet or of a running server.
import { join } from 'node:path';
import { ConsoleServer } from './console_server.mjs';
import { BUS } from './console.mjs';
import { launch } from './harness.mjs';

const wide = { width: 1440, height: 900 };

/** Name, path, what is there once it is ready, and the look. */
const pictures = [
  ['gateway', `/gateways/${BUS}`, '.charts canvas', { fullPage: true }],
  ['gateway-dark', `/gateways/${BUS}`, '.charts canvas', { colorScheme: 'dark' }],
  ['gateway-phone', `/gateways/${BUS}`, '.charts canvas', { viewport: { width: 390, height: 844 } }],
  ['operations', '/operations?state=all', 'table', {}],
  ['profile', '/profile', 'h2:has-text("API tokens")', {}],
];

const [folder, url] = process.argv.slice(2);
const server = url ? null : await ConsoleServer.start();
if (server) {
  Object.assign(server.addOperation(BUS, { kind: 'reboot' }), { state: 'done', text: 'Back after 1 min 34 s', ended_at: 1 });
  Object.assign(server.addOperation(BUS, { kind: 'diagnostics' }), { state: 'running', text: '31 of 48 parts' });
  Object.assign(server.openSession(BUS, { reason: 'ticket 20418' }), {});
  Object.assign(server.sessions[0], { state: 'open', entered_at: server.sessions[0].opened_at - 600, requests: 312, bytes_out: 2400000, operator: 'dispatch-2' });
}
const browser = await launch();

async function logIn(page) {
  const { AMM_USER: user = 'admin', AMM_PASSWORD: password = '' } = process.env;
  await page.goto(url);
  await page.fill('input[autocomplete=username]', user);
  await page.fill('input[autocomplete=current-password]', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=tree]');
}

for (const [name, path, ready, { fullPage = false, ...look }] of pictures) {
  const context = await browser.newContext({ viewport: wide, ignoreHTTPSErrors: true, reducedMotion: 'reduce', ...look });
  const page = await context.newPage();
  if (url) await logIn(page);
  await page.goto((url ?? server.base).replace(/\/$/, '') + path);
  await page.waitForSelector(ready);
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage });
  console.log(join(folder, `${name}.png`));
  await context.close();
}
await browser.close();
await server?.stop();
