// The operators' console in Debian's chromium, against a made-up fleet of 8 000 gateways (console_server.mjs).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ConsoleServer } from './console_server.mjs';
import { equal, fail, open } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const wide = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };
export const BUS = '141'; // a gateway with its tunnel up
const FIRST_VIEW_MOST = 300_000; // bytes, compressed

/** Pages that are looked at, and what is there once they are ready. */
export const consolePages = [
  [`/gateways/${BUS}`, 'h1:has-text("Bus")'],
  ['/operations?state=all', 'h1:has-text("Operations")'],
  ['/profile', 'h2:has-text("API tokens")'],
  ['/nothing-here', 'text=There is no such page'],
];

export async function withConsole(browser, options, body) {
  const server = await ConsoleServer.start();
  const page = await open(browser, server, options);
  try {
    await body(page, server);
    equal(page.sins.join('\n'), '', 'sins');
  } finally {
    await page.context().close();
    await server.stop();
  }
}

export async function violations(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`).join('\n');
}

/** Elements that reach over the right edge, of a page that scrolls sideways. */
export async function overflow(page) {
  return page.evaluate(() => {
    const edge = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= edge) return '';
    const over = [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > edge + 1);
    return over.slice(0, 5).map((one) => `${one.tagName}.${one.getAttribute('class')}`).join(' ') || 'something';
  });
}

export async function show(page, server, [path, ready]) {
  await page.goto(server.base + path);
  await page.waitForSelector(ready);
  await page.waitForFunction(() => !document.querySelector('.skeleton.shown'));
}

const active = (page) => page.evaluate(() => {
  const tree = document.activeElement;
  return document.getElementById(tree?.getAttribute('aria-activedescendant') ?? '')?.getAttribute('aria-label') ?? tree?.textContent ?? '';
});

export const tests = {
  async 'console: every page is accessible, in light and dark, wide and on a phone'(browser) {
    const looks = process.argv.includes('--all')
      ? [['light', wide], ['dark', wide], ['light', phone], ['dark', phone]] : [['light', wide], ['dark', phone]];
    for (const [colorScheme, viewport] of looks) {
      await withConsole(browser, { colorScheme, viewport }, async (page, server) => {
        server.addOperation(BUS, { kind: 'reboot' });
        for (const one of consolePages) {
          await show(page, server, one);
          equal(await violations(page), '', `axe, ${one[0]}, ${colorScheme}, ${viewport.width}`);
        }
        server.isIn = false;
        await page.goto(server.base);
        await page.waitForSelector('h1:has-text("Sign in")');
        equal(await violations(page), '', `axe, login, ${colorScheme}`);
      });
    }
  },

  async 'console: no page scrolls sideways, from 320 to 1920 px and at 200 %'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      for (const one of consolePages) {
        await show(page, server, one);
        for (const width of [320, 360, 390, 720, 768, 901, 1024, 1180, 1440, 1920]) {
          await page.setViewportSize({ width, height: 800 });
          equal(await overflow(page), '', `${one[0]} at ${width} px`);
        }
        await page.setViewportSize({ width: 640, height: 400 }); // 1280 by 800 at a zoom of 200 %
        equal(await overflow(page), '', `${one[0]} at 200 %`);
      }
    });
  },

  async 'console: the first view is small, and asks nobody else'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      let bytes = 0;
      page.on('response', async (response) => {
        if (!response.url().includes('/api/')) bytes += Number((await response.request().sizes()).responseBodySize);
      });
      await show(page, server, consolePages[0]);
      await page.waitForLoadState('load');
      if (bytes === 0 || bytes > FIRST_VIEW_MOST) fail(`the first view has ${bytes} bytes`);
    });
  },

  async 'console: from the one-time password to the first page'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      Object.assign(server, { isIn: false, password: 'one-time-password' });
      server.user.must_change_password = true;
      await page.goto(`${server.base}/operations`);
      await page.fill('text=User name', 'admin');
      await page.fill('input[autocomplete=current-password]', 'wrong');
      await page.keyboard.press('Enter');
      await page.waitForSelector('[role=alert] >> text=Name or password is wrong');
      await page.fill('input[autocomplete=current-password]', 'one-time-password');
      await page.keyboard.press('Enter');
      await page.waitForSelector('h1:has-text("Choose a password")');
      equal(await page.locator('label:text-is("One-time password")').count(), 0, 'asked twice for the one-time password');
      await page.locator('input[autocomplete=new-password]').nth(0).fill('a long sentence');
      await page.locator('input[autocomplete=new-password]').nth(1).fill('another sentence');
      await page.keyboard.press('Enter');
      await page.waitForSelector('text=The two are not the same.');
      await page.locator('input[autocomplete=new-password]').nth(1).fill('a long sentence');
      await page.keyboard.press('Enter');
      await page.waitForSelector('h1:has-text("Operations")');
      if (!server.requests.some((one) => one.includes('"old":"one-time-password","new":"a long sentence"'))) fail('password not changed');
    });
  },

  async 'console: a login that ends leads to the login, and back to the same page'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      server.isIn = false;
      await page.click('text=Check in now');
      await page.waitForSelector('text=Signed out after a time without activity');
      await page.fill('text=User name', 'admin');
      await page.fill('input[autocomplete=current-password]', 'x');
      await page.keyboard.press('Enter');
      await page.waitForSelector('h1:has-text("Bus")');
    });
  },

  async 'console: the tree by keyboard, with 8 000 gateways and few rows in the document'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, ['/operations', '[role=treeitem]']);
      await page.focus('[role=tree]');
      equal(await active(page), 'Northfield, 8\u202f000 gateways, 158 down', 'first');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight'); // open Buses
      await page.keyboard.press('ArrowRight'); // into it
      await page.keyboard.press('ArrowRight'); // open Depot East
      await page.waitForSelector('[role=treeitem] >> text=Bus 1041');
      if (await page.locator('[role=treeitem]').count() > 100) fail('the whole tree is in the document');
      await page.keyboard.type('Bus 108');
      if (!(await active(page)).startsWith('Bus 108')) fail('letters find nothing: ' + (await active(page)));
      await page.keyboard.press('ArrowLeft');
      if (!(await active(page)).startsWith('Depot East')) fail('Left does not lead to the group');
      await page.keyboard.press('End');
      await page.keyboard.press('Home');
      equal((await active(page)).slice(0, 10), 'Northfield', 'Home');
      await page.keyboard.press('Shift+F10');
      await page.waitForSelector('[role=menu]');
      await page.keyboard.press('Escape');
      equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'tree', 'focus after the menu');
    });
  },

  async 'console: search in the tree keeps the path; jump, shortcuts and their switch'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      await page.fill('[aria-label="Find a gateway"]', 'harbour 05');
      await page.waitForSelector('text=10 matches');
      equal((await page.locator('.tree-name').allTextContents()).slice(0, 4).join(', '), 'Northfield, Kiosks, Harbour, Kiosk Harbour 050', 'path');
      await page.fill('[aria-label="Find a gateway"]', 'nobody');
      await page.click('text=Show all');
      await page.locator('h1').click();
      await page.keyboard.press('/');
      await page.keyboard.type('harbour 07');
      await page.waitForSelector('[role=option] >> text=Kiosk Harbour 070');
      await page.keyboard.press('Enter');
      await page.waitForSelector('h1:has-text("Kiosk Harbour 070")');
      await page.keyboard.press('g');
      await page.keyboard.press('o');
      await page.waitForSelector('h1:has-text("Operations")');
      await page.keyboard.press('?');
      await page.waitForSelector('dialog >> text=Search or jump to');
      await page.keyboard.press('Escape');
      await page.goto(`${server.base}/profile`);
      await page.click('text=Single keys');
      await page.locator('h1').click();
      await page.keyboard.press('g');
      await page.keyboard.press('o');
      equal(new URL(page.url()).pathname, '/profile', 'keys that are switched off');
    });
  },

  async 'console: below 900 px the tree is a drawer'(browser) {
    await withConsole(browser, { viewport: phone }, async (page, server) => {
      await show(page, server, consolePages[0]);
      equal(await page.locator('[role=tree]').isVisible(), false, 'tree before');
      await page.click('[aria-label="Gateway tree"]:not(aside)');
      await page.click('[role=treeitem] >> text=Bus 1083');
      await page.waitForFunction(() => getComputedStyle(document.querySelector('aside')).visibility === 'hidden');
      const top = await page.evaluate(() => document.querySelector('.side')?.classList.contains('drawn'));
      equal(top, false, 'drawer after a choice');
    });
  },

  async 'console: ACEmanager opens in a tab that has no hold of the console'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      await page.fill('text=Reason or ticket', 'ticket 20418');
      const [tab] = await Promise.all([page.context().waitForEvent('page'), page.click('button:has-text("ACEmanager")')]);
      await tab.waitForFunction(() => document.title === 'ACEmanager');
      equal(await tab.textContent('p'), 'POST', 'how the ticket came');
      equal(await tab.evaluate(() => window.opener), null, 'opener');
      if (!server.requests.some((one) => one.includes('remote-sessions {"reason":"ticket 20418"}'))) fail('without the reason');
    });
  },

  async 'console: a tunnel that is down is ordered, waited for, and the page opens by itself'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      const gateway = [...server.fleet.gateways.values()].find((one) => one.lamps.tunnel === 'down');
      await show(page, server, [`/gateways/${gateway.id}`, 'text=Tunnel down for']);
      const [tab] = await Promise.all([page.context().waitForEvent('page'), page.click('text=Bring tunnel up and open')]);
      await page.waitForSelector('text=Opens in about 6');
      server.sessions[0].state = 'ready';
      server.publish('remote-session', server.sessions[0]);
      await tab.waitForFunction(() => document.title === 'ACEmanager');
      await tab.close();
      server.sessions[0].state = 'ended';
      server.publish('remote-session', server.sessions[0]);
      await page.waitForSelector('text=Bring tunnel up and open');
      await page.click('text=Bring tunnel up and open');
      await page.waitForSelector('text=Opens in about 6');
      await page.locator('h1').click();
      await page.keyboard.press('Escape');
      await page.waitForSelector('text=Bring tunnel up and open');
      equal(server.sessions[0].state, 'ended', 'the session after Esc');
    });
  },

  async 'console: a changed key is shown and accepted by a person; a viewer is told whom to ask'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      Object.assign(server.gateway(BUS).page, { state: 'key-changed', new_key: 'cd'.repeat(32) });
      await show(page, server, consolePages[0]);
      await page.click('button:has-text("Look")');
      await page.waitForSelector(`dialog >> text=${'cd'.repeat(32)}`);
      await page.click('text=Accept the new key >> nth=-1');
      await page.waitForSelector('text=Through the tunnel');
      if (!server.requests.some((one) => one.includes(`page-key {"sha256":"${'cd'.repeat(32)}"}`))) fail('not accepted');
      server.user.roles = [{ role: 'viewer', tenant: '1', group: '0' }];
      await page.reload();
      await page.waitForSelector('text=you can look, and change nothing');
      Object.assign(server.gateway(BUS).tunnel, { up: false, address: null });
      await page.reload();
      await page.waitForSelector('text=Ask an administrator of Depot East');
      equal(await page.getAttribute('button:has-text("ACEmanager")', 'aria-disabled'), 'true', 'a viewer’s button');
      equal(await page.locator('button:text-is("Change")').count(), 0, 'a viewer changes parameters');
    });
  },

  async 'console: a parameter is changed, refused with what is allowed, and taken back'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      const row = (name) => page.locator('tr', { hasText: name });
      await row('Check-in interval').locator('button:has-text("Change")').click();
      await page.fill('.editor input', '5');
      await page.click('.editor >> text=Save');
      await page.waitForSelector('text=60003: 5 is out of range. Allowed: 60 to 86400 s.');
      await page.fill('.editor input', '600');
      await page.keyboard.press('Enter');
      await page.waitForSelector('td:has-text("600")');
      if (!server.requests.some((one) => one.includes('parameters {"values":{"60003":600}}'))) fail('not sent as a number');
      await row('Check-in interval').locator('button:has-text("Revert")').click();
      await page.waitForSelector('.toast >> text=Undo');
    });
  },

  async 'console: what happens is seen without a reload, and in every tab by one stream'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      const second = await page.context().newPage();
      await second.goto(`${server.base}/gateways/${BUS}`);
      await second.waitForSelector('text=Live, all events received');
      await page.waitForSelector('text=Live, all events received');
      equal(server.listeners.size, 1, 'streams');
      const gateway = server.gateway(BUS);
      gateway.lamps = { checkin: 'degraded', tunnel: 'down' };
      Object.assign(gateway.tunnel, { up: false, address: null });
      server.publish('gateway', { ...gateway, changes: ['tunnel'] });
      for (const tab of [page, second]) {
        await tab.waitForSelector('.badge >> text=Tunnel down');
        await tab.waitForSelector(`[role=treeitem][aria-label^="${gateway.name}, check-in late, tunnel down"]`);
      }
      for (const one of server.listeners) one.end();
      await page.waitForSelector('text=Live, all events received');
    });
  },

  async 'console: reboot asks, factory reset wants the name, the test speaks in words'(browser) {
    await withConsole(browser, {}, async (page, server) => {
      await show(page, server, consolePages[0]);
      const { name } = server.gateway(BUS);
      await page.click('text=Reboot');
      equal(await page.evaluate(() => document.activeElement.textContent), 'Keep it running', 'focus');
      await page.keyboard.press('Escape');
      equal(server.requests.length, 0, 'requests after Esc');
      await page.click('[aria-label="More actions"]');
      await page.click('text=Factory reset');
      await page.keyboard.type(name.slice(0, -1));
      await page.keyboard.press('Enter');
      equal(server.requests.length, 0, 'requests with half of the name');
      await page.keyboard.type(name.slice(-1));
      await page.keyboard.press('Enter');
      await page.waitForSelector('.toast >> text=Factory reset');
      await page.click('button:has-text("Test")');
      await page.waitForSelector('text=packets of 1400 bytes do not pass');
      equal(await violations(page), '', 'axe, test');
    });
  },
};
