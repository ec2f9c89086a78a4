// What an operator does in the web UI of another maker, for tests and trials:
//
//   node foreign.mjs jupyter|qbittorrent|syncthing URL                 straight to it
//   node foreign.mjs jupyter|qbittorrent|syncthing URL ENTER TICKET    through a remote session: its entry is given the
//                                                                      ticket, as the console does
//   node foreign.mjs two URL ENTER TICKET URL ENTER TICKET             two qbittorrents by turns, in one browser
//   node foreign.mjs text URL ENTER TICKET                             prints what the first page says
//
// Each changes something that the application saves, and prints what. Exits 1 with a sentence if it does not come about.
import { launch } from './harness.mjs';

const [application, ...words] = process.argv.slice(2);
const password = 'first-secret';

async function openQbittorrent(page, base) {
  await page.goto(base + '/');
  await page.fill('#username', 'admin');
  await page.fill('#password', 'adminadmin');
  await page.click('#login');
  await page.waitForSelector('#preferencesButton');
}

async function saveInQbittorrent(page, value) {
  await page.click('#preferencesButton');
  await page.waitForSelector('#savepath_text');
  await page.fill('#savepath_text', '/srv/' + value);
  const saved = page.waitForResponse((answer) => answer.url().includes('setPreferences'));
  await page.click('#preferencesPage_content input[type=button][value=Save]');
  if (!(await saved).ok()) throw new Error('the preferences were refused: ' + (await saved).status());
}

const applications = {
  // Origin, Host and _xsrf are checked; a cell of a notebook runs over a WebSocket.
  async jupyter(page, base, value) {
    await page.goto(base + '/login');
    await page.fill('#password_input', password);
    await page.click('#login_submit');
    await page.waitForSelector('#notebook_list');
    const opened = page.context().waitForEvent('page');
    await page.click('#new-dropdown-button');
    await page.click('#kernel-python3 a');
    const notebook = await opened;
    await notebook.waitForSelector('#kernel_indicator_icon.kernel_idle_icon', { timeout: 40000 });
    await notebook.click('.CodeMirror');
    await notebook.keyboard.type(`print(open("saved.txt", "w").write("${value}"))`);
    await notebook.keyboard.press('Shift+Enter');
    await notebook.waitForSelector(`.output_text >> text=${value.length}`);
  },

  // Host, Origin and Referer are checked against each other; pages in frames of their own.
  async qbittorrent(page, base, value) {
    await openQbittorrent(page, base);
    await saveInQbittorrent(page, value);
  },

  // Basic authentication, a CSRF token by a cookie and a header that are named after the device.
  async syncthing(page, base, value) {
    await page.goto(base + '/');
    await page.waitForFunction(() => document.title.includes('Syncthing') && document.querySelector('#settings'));
    const name = page.locator('#DeviceName');
    for (let tries = 0; tries < 8 && !(await name.isVisible()); tries++) { // it is slow to take its own clicks
      await page.evaluate(() => [...document.querySelectorAll('a')].find((a) => /showSettings/.test(a.getAttribute('ng-click')))?.click());
      await name.waitFor({ timeout: 5000 }).catch(() => {});
    }
    await page.fill('#DeviceName', value);
    await page.click('#settings button:has-text("Save")');
    await page.waitForSelector('#settings', { state: 'hidden' });
  },
};

// As the console does it: the ticket is posted to the session's own host, which then shows the page.
async function enterSession(page, base, enter, ticket) {
  await page.setContent(`<form method=post action="${enter}"><input name=ticket value="${ticket}"><button>go</button></form>`);
  await page.click('button');
  await page.waitForURL((url) => !url.pathname.startsWith('/.amm/') && url.origin === new URL(base).origin);
}

async function newPage(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.on('dialog', (dialog) => dialog.accept());
  return page;
}

const browser = await launch();
const isRemote = words.length > 1;
const context = await browser.newContext({
  ignoreHTTPSErrors: true,
  viewport: { width: 1440, height: 900 },
  httpCredentials: isRemote ? undefined : { username: 'admin', password },
});
try {
  const pages = [];
  for (let at = 0; at < words.length; at += 3) {
    const page = await newPage(context);
    if (isRemote) await enterSession(page, ...words.slice(at, at + 3));
    pages.push(page);
  }
  const values = pages.map((_, n) => `changed-${Date.now()}-${n}`);
  if (application === 'two') {
    for (const n of [0, 1]) await openQbittorrent(pages[n], words[3 * n]);
    for (const n of [0, 1]) await saveInQbittorrent(pages[n], values[n]);
  } else if (application !== 'text') {
    await applications[application](pages[0], words[0], values[0]);
  }
  console.log(application === 'text' ? await pages[0].innerText('body') : values.join('\n'));
} catch (error) {
  console.error(error.message);
  const last = context.pages().pop();
  if (process.env.SCREENSHOT && last) await last.screenshot({ path: process.env.SCREENSHOT });
  process.exitCode = 1;
}
await browser.close();
