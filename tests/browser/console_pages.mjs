// The console's pages for many gateways, in Debian's chromium against a real ammd: dashboard, thresholds, sheets, tunnels,
// adding, admin.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ammd } from './console_ammd.mjs';
import { overflow, violations } from './console.mjs';
import { equal, fail } from './harness.mjs';

const wide = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };

/** Pages, and what is there once they are ready. */
const pages = [
  ['/dashboard', 'tbody .gateway-name'],
  ['/dashboard?tunnel=up&text=bus', 'text=Nothing matches'],
  ['/thresholds', 'text=ManagementTunnel-IPAddress'],
  ['/thresholds?add=1', 'text=What it would mean now'],
  ['/tunnels', 'text=10.4.32.0/19'],
  ['/tunnels/refused', 'h1:has-text("Refused joins")'],
  ['/add', 'text=A gateway with our software'],
  ['/add?view=file', 'text=Make and download the file'],
  ['/add?view=approvals', 'text=Nobody waits'],
  ['/admin', 'h2:has-text("People and programs")'],
  ['/admin/imports', 'text=Drop a spreadsheet here'],
  ['/admin/imports/1', 'text=/Apply \\d/'],
  ['/admin/groups', 'td:has-text("Dashboard"), a:has-text("Dashboard of Buses")'],
  ['/admin/users', 'text=Who may log in'],
  ['/admin/tokens', 'text=No token yet'],
  ['/admin/audit', 'text=POST /api/v1/login'],
  ['/admin/tenants', 'text=All tenants'],
  ['/admin/backup', 'text=Make a backup now'],
];

async function withAmmd(count, body) {
  const ammd = await Ammd.start();
  try {
    await ammd.logIn();
    if (count > 0) await ammd.addGateways(count);
    await body(ammd);
  } finally {
    await ammd.stop();
  }
}

/** A page that remembers what it must not do. */
async function withPage(browser, ammd, options, body) {
  const context = await ammd.context(browser, { acceptDownloads: true, ...options });
  const page = await context.newPage();
  const sins = [];
  page.on('pageerror', (error) => sins.push(`error ${error.message}`));
  page.on('console', (line) => {
    if (line.type() === 'error' && !/status of [45]\d\d/.test(line.text())) sins.push(`console ${line.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(ammd.base) && !request.url().startsWith('blob:')) sins.push(`request to ${request.url()}`);
  });
  try {
    await body(page).catch(async (error) => {
      await page.screenshot({ path: join(tmpdir(), 'amm-console-failed.png') }).catch(() => undefined);
      throw new Error(`${error.stack}\n${sins.join('\n')}`, { cause: error });
    });
    equal(sins.join('\n'), '', 'sins');
  } finally {
    await context.close();
  }
}

async function show(page, ammd, [path, ready]) {
  await page.goto(ammd.base + path);
  await page.waitForSelector(ready);
}

function csv(rows) {
  return rows.map((row) => `${row.join(',')}\r\n`).join('');
}

async function upload(page, ammd, name, text) {
  await page.goto(`${ammd.base}/admin/imports`);
  await page.waitForSelector('.drop');
  await page.setInputFiles('#sheet-file', { name, mimeType: 'text/csv', buffer: Buffer.from(text) });
}

const shown = (page, selector) => page.locator(selector).innerText();

export const tests = {
  async 'console pages: accessible in light and dark, and never sideways, from 320 to 1920 px'(browser) {
    await withAmmd(60, async (ammd) => {
      const sheet = csv([['Serial', '10034', 'Name'], ['N721000001', '1192', 'bus-00001'], ['N721000002', '1194', 'bus-00002'], ['3.5E+14', '1190', 'x']]);
      await fetch(`${ammd.base}/api/v1/imports?filename=fleet.csv`, { method: 'POST', body: sheet, headers: { Cookie: ammd.cookie, 'X-AMM-Request': '1', 'Content-Type': 'application/octet-stream' } });
      const all = process.argv.includes('--all');
      const looks = all ? [['light', wide], ['dark', wide], ['light', phone], ['dark', phone]] : [['light', wide], ['dark', phone]];
      for (const [colorScheme, viewport] of looks) {
        await withPage(browser, ammd, { colorScheme, viewport, reducedMotion: 'reduce' }, async (page) => {
          for (const one of pages) {
            await show(page, ammd, one);
            equal(await violations(page), '', `axe, ${one[0]}, ${colorScheme}, ${viewport.width}`);
            if (viewport !== wide) continue;
            for (const width of all ? [320, 390, 768, 901, 1024, 1180, 1920] : [320, 901, 1920]) {
              await page.setViewportSize({ width, height: 800 });
              equal(await overflow(page), '', `${one[0]} at ${width} px`);
            }
            await page.setViewportSize(viewport);
          }
        });
      }
    });
  },

  async 'console pages: 8 000 gateways on the dashboard: keys, filters, order, what changes'(browser) {
    await withAmmd(8000, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        await show(page, ammd, pages[0]);
        await page.waitForSelector('.table-count:text("8\u202f000")');
        if (await page.locator('tbody tr').count() > 100) fail('the list is not virtual');
        // keys
        const isAt = (row) => page.waitForFunction((row) => document.activeElement.getAttribute('aria-rowindex') === row, row);
        for (const [key, row] of [['j', '1'], ['j', '2'], ['j', '3'], ['k', '2'], ['ArrowDown', '3'], ['Home', '1']]) {
          await page.keyboard.press(key);
          await isAt(row);
        }
        await page.waitForFunction(() => document.querySelector('[role=grid]').getAttribute('aria-rowcount') === '8000');
        await page.waitForSelector('.table-count:text("8\u202f000")');
        await page.waitForFunction(() => document.querySelector('tr.gap:last-child')?.offsetHeight > 7950 * 30); // all are read
        await page.keyboard.press('End');
        await isAt('8000');
        await page.keyboard.press('Enter');
        await page.waitForURL('**/gateways/*');
        await page.goBack();
        // filters, and taking them away from the empty list
        await page.waitForSelector('tbody .gateway-name');
        await page.fill('input[aria-label="Name, serial, address"]', 'bus-0004');
        await page.waitForSelector('.table-count:text("10 of 8\u202f000")');
        await page.click('.chip-button:has-text("Tunnel")');
        await page.click('[role=menuitemradio]:has-text("up")');
        await page.waitForSelector('text=Nothing matches');
        if (!page.url().includes('tunnel=up')) fail('the filter is not in the address');
        await page.click('button:has-text("Remove “Tunnel: up”")');
        await page.waitForSelector('tbody .gateway-name');
        // order
        await page.click('th .sort:has-text("Gateway")');
        await page.click('th .sort:has-text("Gateway")');
        await page.waitForSelector('tbody tr:nth-child(1) .gateway-name:text-is("bus-00049")');
        // what changes elsewhere is told, and nothing moves under the pointer
        await ammd.ask('POST', '/gateways', { name: 'bus-0004x' });
        await page.waitForSelector('text=The order has changed.');
        equal(await shown(page, 'tbody tr:nth-child(1) .gateway-name'), 'bus-00049', 'first row before it is sorted again');
        await page.click('text=Sort again');
        await page.waitForSelector('tbody tr:nth-child(1) .gateway-name:text-is("bus-0004x")');
        // export of what is shown
        await page.click('button:has-text("Export")');
        const [download] = await Promise.all([page.waitForEvent('download'), page.click('[role=menuitem]:has-text("As CSV")')]);
        const lines = (await download.createReadStream().then(async (stream) => {
          let text = '';
          for await (const piece of stream) text += piece;
          return text;
        })).trim().split('\n');
        equal(lines.length, 12, 'lines of the export');
      });
    });
  },

  async 'console pages: a threshold is previewed, added, removed, and taken back'(browser) {
    await withAmmd(30, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        await show(page, ammd, ['/thresholds?add=1', 'text=What it would mean now']);
        await page.click('button:has-text("Add threshold")');
        await page.waitForSelector('text=The column needs a name.');
        await page.fill('label:text-is("Label") >> xpath=.. >> input', 'Signal');
        await page.fill('input[list=stat-names]', 'CellLink-RSSI');
        await page.selectOption('label:text-is("Error when it") >> xpath=.. >> select', 'lt');
        await page.fill('label:text-is("Error when it: value") >> xpath=.. >> input', '-1l0');
        await page.waitForSelector('text=is not a number');
        await page.fill('label:text-is("Error when it: value") >> xpath=.. >> input', '-110');
        await page.waitForSelector('text=/of 30.gateways would meet a condition now/');
        await page.click('button:has-text("Add threshold")');
        await page.waitForSelector('tbody >> text=Signal');
        await page.click('button[aria-label="Remove Signal"]');
        await page.waitForSelector('tbody >> text=Signal', { state: 'detached' });
        await page.click('.toast >> text=Undo');
        await page.waitForSelector('tbody >> text=Signal');
        const { items } = await ammd.ask('GET', '/thresholds?tenant=1&group=0');
        equal(items.find((one) => one.label === 'Signal')?.error?.value, '-110', 'the threshold after undo');
      });
    });
  },

  async 'console pages: a sheet of 10 000 rows: verdicts, applied, left and found again, undone'(browser) {
    await withAmmd(8000, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        const rows = [['Serial', 'Note', '1154', 'Name']];
        for (let i = 0; i < 8000; i++) rows.push([`N72${1000000 + i}`, i === 5000 ? '=A1&B1' : `note ${i}`, `Bus ${i}`, '']);
        for (let i = 0; i < 2000; i++) rows.push([i === 7 ? '3.5E+14' : `N73${1000000 + i}`, `new ${i}`, `New ${i}`, `new-${i}`]);
        await upload(page, ammd, 'fleet.csv', csv(rows));
        await page.waitForSelector('text=/Apply \\d/');
        await page.waitForSelector('.verdict-tab:has-text("Refused 2")');
        await page.waitForSelector('.verdict-tab:has-text("New 1\u202f999")');
        // the next refused row, far down, in words
        await page.waitForSelector('[role=status]:text-is("10\u202f000 rows")');
        await page.keyboard.press('n');
        await page.waitForFunction(() => document.activeElement.textContent.includes('a formula'));
        await page.keyboard.press('n');
        await page.waitForFunction(() => document.activeElement.textContent.includes('3.5E+14'));
        await page.click('.verdict-tab:has-text("Refused")');
        await page.waitForFunction(() => document.querySelectorAll('tbody .wrong').length === 2);
        // all or none is not possible now, and says why
        equal(await page.locator('#rows-all').isDisabled(), true, 'all or none with refused rows');
        await page.click('button:has-text("Apply 9\u202f998 rows")');
        await page.waitForSelector('text=/Applied|Running/');
        await page.goto(`${ammd.base}/dashboard`);
        await page.goto(`${ammd.base}/admin/imports`);
        await page.waitForSelector('tbody >> text=Applied');
        const made = await ammd.ask('GET', '/gateways?text=note%204711&limit=1');
        equal(made.items[0]?.name, 'bus-04711', 'the gateway with the note of the sheet');
        await page.click('a:has-text("fleet.csv")');
        await page.waitForSelector('text=Can be undone until');
        const [download] = await Promise.all([page.waitForEvent('download'), page.click('text=Download result file')]);
        if (!(await download.suggestedFilename()).endsWith('.csv')) fail('the result is no CSV file');
        await page.click('button:has-text("Undo")');
        await page.waitForSelector('.card-end >> text=Undone');
        equal((await ammd.ask('GET', '/gateways?text=note%204711&limit=1')).items.length, 0, 'gateways with the note after undo');
      });
    });
  },

  async 'console pages: sheets that are none, columns by hand, a port that would be too full'(browser) {
    await withAmmd(3000, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        await page.goto(`${ammd.base}/admin/imports`);
        await page.waitForSelector('.drop');
        await page.setInputFiles('#sheet-file', { name: 'fleet.ods', mimeType: 'text/plain', buffer: Buffer.from('x') });
        await page.waitForSelector('text=is neither CSV nor XLSX');
        await upload(page, ammd, 'broken.xlsx', 'PK no archive');
        await page.waitForSelector('text=broken.xlsx was not taken.');
        const rows = [['Whatever', 'Where to']];
        for (let i = 0; i < 3000; i++) rows.push([`N72${1000000 + i}`, '1193']);
        await upload(page, ammd, 'ports.csv', csv(rows));
        await page.waitForSelector('h2:has-text("Columns")');
        await page.waitForSelector('text=No column says which gateway a row is about');
        await page.selectOption('select[aria-label^="Column A"]', 'serial');
        await page.selectOption('select[aria-label^="Column B"]', '10034');
        await page.click('button:has-text("Use these columns")');
        await page.waitForSelector('text=Tunnel places after this sheet');
        await page.waitForSelector('.verdict-tab:has-text("Refused")');
        const refused = await page.evaluate(() => [...document.querySelectorAll('.verdict-tab')].find((one) => one.textContent.startsWith('Refused')).textContent);
        const isFull = /Refused 953/.test(refused) || await page.locator('.met.down').count() > 0;
        if (!isFull) fail(`3000 gateways fit on one port: ${refused}`);
      });
    });
  },

  async 'console pages: a pool that clashes is shown before it is changed'(browser) {
    await withAmmd(10, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        await show(page, ammd, ['/tunnels', 'text=10.4.32.0/19']);
        await page.click('button[aria-label="Change the pool of port 1192"]');
        await page.fill('label:text-is("New pool") >> xpath=.. >> input', '10.4.33.0/19');
        await page.waitForSelector('text=Is 10.4.32.0/19 meant?');
        await page.fill('label:text-is("New pool") >> xpath=.. >> input', '10.4.32.0/19');
        await page.waitForSelector('text=/Overlaps 1190/');
        equal(await page.getAttribute('button:has-text("Change pool")', 'aria-disabled'), 'true', 'the button with a clash');
        await page.click('button:has-text("Use it")');
        await page.waitForSelector('.card-end >> text=No conflict');
      });
    });
  },

  async 'console pages: a user gets a one-time password, a program a token, a gateway another'(browser) {
    await withAmmd(0, async (ammd) => {
      await withPage(browser, ammd, {}, async (page) => {
        await show(page, ammd, ['/admin/users', 'text=Who may log in']);
        await page.click('button:has-text("Add user")');
        await page.fill('dialog label:text-is("Login name") >> xpath=.. >> input', 'dispatch-2');
        await page.click('dialog button:has-text("Add user")');
        const password = await shown(page, '.secret-text');
        equal((await fetch(`${ammd.base}/api/v1/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user: 'dispatch-2', password }) })).status, 200, 'login with the one-time password');
        await show(page, ammd, ['/admin/tokens', 'text=No token yet']);
        await page.click('.head button:has-text("Make token")');
        await page.fill('dialog label:text-is("Name") >> xpath=.. >> input', 'script');
        await page.click('dialog button:has-text("Make token")');
        const token = await shown(page, '.secret-text');
        equal((await fetch(`${ammd.base}/api/v1/gateways`, { headers: { Authorization: `Bearer ${token}` } })).status, 200, 'a request with the token');
        await show(page, ammd, ['/dashboard', 'text=Add the first gateway']);
        await page.click('text=Make a token');
        await page.fill('label:has-text("Name") >> xpath=.. >> input', 'bus-1047');
        await page.click('button:has-text("Make a token")');
        await page.waitForSelector('pre:text("amm1")');
      });
    });
  },
};
