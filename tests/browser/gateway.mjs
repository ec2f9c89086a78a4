// What a person does on a gateway's own pages, for tests and trials against a running one:
//
//   node gateway.mjs URL PASSWORD enable PORT [HOW [STATE]]   Services > MSCI > Enable, port, Apply; HOW: "activate"
//                                                             presses Activate now, "reboot" Reboot; then waits until
//                                                             Status says STATE (Up)
//   node gateway.mjs URL PASSWORD disable [HOW [STATE]]       the other way (Disabled)
//   node gateway.mjs URL PASSWORD enrol SERVER-URL TOKEN      Services > MSCI > server URL and enrolment token
//
// Prints the tunnel's card at the end; exits 1 with a sentence if it does not come about in 120 s.
import { launch } from './harness.mjs';

const [base, password, what, ...rest] = process.argv.slice(2);

async function logIn(page) {
  await page.goto(base + '/login');
  if (page.url().endsWith('/status')) return;
  await page.fill('#password', password);
  await page.click('text="Log in" >> nth=-1');
  await page.waitForURL('**/status');
}

async function apply(page) {
  await page.click('text=Apply');
  await page.waitForSelector('.note.up, .note.info, .note.down');
  const refused = await page.locator('.err, .note.down').allTextContents();
  if (refused.length) throw new Error('refused: ' + refused.join(' '));
}

async function takeOver(page, how) {
  if (how !== 'reboot') {
    if (await page.locator('text="Activate now"').count()) await page.click('text="Activate now"');
    return;
  }
  await page.click('.acts >> text=Reboot');
  await page.click('text="Reboot now"');
  await page.waitForSelector('h1:has-text("Rebooting")');
}

async function waitFor(page, words) {
  const until = Date.now() + 120000;
  for (;;) {
    try {
      await logIn(page);
      await page.goto(base + '/status');
      const card = await page.locator('section.card', { hasText: 'AMM Management Tunnel' }).first().innerText();
      if (card.split('\n').some((line) => line.trim() === words)) return card;
      if (Date.now() > until) throw new Error(`the tunnel is not "${words}" after 120 s:\n${card}`);
    } catch (error) {
      if (Date.now() > until) throw error; // a gateway that reboots does not answer for a while
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

const browser = await launch();
try {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.on('dialog', (dialog) => dialog.accept());
  await logIn(page);
  await page.goto(base + '/services/msci');
  if (what === 'enrol') {
    await page.fill('#p60002', rest[0]);
    await page.fill('#p60009', rest[1]);
    await apply(page);
  } else {
    await page.selectOption('#p60001', what === 'enable' ? 'Enable' : 'Disable');
    if (what === 'enable') await page.selectOption('#p10034', rest[0]);
    await apply(page);
    const [how, state] = what === 'enable' ? rest.slice(1) : rest;
    await takeOver(page, how ?? 'activate');
    console.log(await waitFor(page, state ?? (what === 'enable' ? 'Up' : 'Disabled')));
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
await browser.close();
