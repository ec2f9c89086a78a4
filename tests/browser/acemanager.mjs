// ACEmanager in Debian's chromium, over a made-up gateway.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { equal, fail, Gateway, launch, logIn, open, pages } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function withGateway(program, kind, body) {
  const gateway = await Gateway.start(program, kind);
  try {
    await body(gateway);
  } catch (error) {
    await gateway.stop().catch(() => {});
    throw error;
  }
  return gateway.stop();
}

async function violations(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`);
}

async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}

export const tests = {
  async 'acemanager: every page is accessible, in light and dark, wide and on a phone'(browser, program) {
    await withGateway(program, 'busy', async (gateway) => {
      const wide = { width: 1440, height: 900 }, phone = { width: 390, height: 844 };
      const looks = [['light', wide], ['dark', phone]];
      if (process.argv.includes('--all')) looks.push(['dark', wide], ['light', phone]);
      for (const [colorScheme, viewport] of looks) {
        const page = await open(browser, gateway, { colorScheme, viewport });
        await page.goto(gateway.base + '/login');
        equal((await violations(page)).join('\n'), '', `axe, login, ${colorScheme}, ${viewport.width}`);
        await logIn(page, gateway);
        for (const path of pages) {
          await page.goto(`${gateway.base}/${path}`);
          equal((await violations(page)).join('\n'), '', `axe, ${path}, ${colorScheme}, ${viewport.width}`);
        }
        equal(page.sins.join('\n'), '', 'sins');
        await page.context().close();
      }
    });
  },

  async 'acemanager: no page scrolls sideways, from 320 to 1920 px and at 200 %'(browser, program) {
    for (const kind of ['busy', 'down', 'hostile']) {
      await withGateway(program, kind, async (gateway) => {
        const page = await open(browser, gateway);
        await logIn(page, gateway);
        for (const path of pages) {
          await page.goto(`${gateway.base}/${path}`);
          for (const width of [320, 390, 720, 768, 1440, 1920]) {
            await page.setViewportSize({ width, height: 800 });
            if (await overflow(page)) fail(`${kind}: ${path} scrolls sideways at ${width} px`);
          }
        }
        // 200 %: half the pixels, and twice the font of the reader
        await page.setViewportSize({ width: 720, height: 450 });
        for (const path of pages) {
          await page.goto(`${gateway.base}/${path}`);
          await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
          if (await overflow(page)) fail(`${kind}: ${path} scrolls sideways with twice the font`);
        }
        await page.context().close();
      });
    }
  },

  async 'acemanager: changes are marked, cancelled, applied, activated'(browser, program) {
    const told = await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway);
      await logIn(page, gateway);
      await page.click('text=Services');
      await page.selectOption('#p10034', '1192');
      await page.fill('#p60003', '600');
      equal(await page.textContent('#unsaved'), '2 changes not applied', 'mark');
      await page.click('text=Cancel');
      equal(await page.textContent('#unsaved'), '', 'mark after Cancel');
      equal(await page.inputValue('#p60003'), '900', 'interval after Cancel');

      await page.fill('#p60003', '30');
      await page.click('text=Apply');
      await page.waitForSelector('.err');
      equal(await page.textContent('#e60003'), '30 is no check-in interval. Allowed: 60 to 86400 s.', 'refusal');
      equal(await page.inputValue('#p60003'), '30', 'what was typed');

      await page.fill('#p60003', '600');
      await page.selectOption('#p10034', '1192');
      await page.click('text=Apply');
      await page.waitForSelector('text=1192 is saved, 1190 is in use.');
      await page.click('text=Activate now');
      await page.waitForSelector('text=The saved settings are in use.');
      equal(await page.inputValue('#p10034'), '1192', 'port');
      equal(page.sins.join('\n'), '', 'sins');
      await page.context().close();
    });
    equal(told, 'sets=1 activations=1 reboots=0 resets=0 checkins=0', 'what the gateway was told');
  },

  async 'acemanager: who is here through the server is seen and can be ended'(browser, program) {
    const told = await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway);
      await logIn(page, gateway);
      await page.waitForSelector('text=Maria Schmidt is on this page from 198.51.100.7, through the server, as user');
      const here = page.locator('section', { has: page.locator('h2', { hasText: 'Remote visitors' }) });
      equal(await here.locator('tbody tr').count(), 2, 'visits under way');
      await page.click('text=All remote visits');
      await page.waitForSelector('text=Otto Maier');
      await page.goto(gateway.base + '/wan');
      await page.click('text=End remote session');
      await page.waitForSelector('text=The remote session of Maria Schmidt has ended.');
      equal(await page.locator('text=is on this page').count(), 0, 'notes afterwards');
      await page.goto(gateway.base + '/admin/visits');
      await page.waitForSelector('text=ended here');
      equal(page.sins.join('\n'), '', 'sins');
      await page.context().close();
    });
    equal(told, 'sets=0 activations=0 reboots=0 resets=0 checkins=1', 'what the gateway was told');
  },

  async 'acemanager: leaving with changes is asked about'(browser, program) {
    await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway);
      await logIn(page, gateway);
      await page.goto(gateway.base + '/services/msci');
      await page.click('#p1154');
      await page.keyboard.type('x');
      const asked = page.waitForEvent('dialog');
      await page.click('text=Status').catch(() => {});
      equal((await asked).type(), 'beforeunload', 'dialog');
      await page.context().close();
    });
  },

  async 'acemanager: everything works without scripts'(browser, program) {
    const told = await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway, { javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
      await logIn(page, gateway);
      await page.click('text=Check in now');
      await page.waitForSelector('text=A check-in is under way.');
      await page.goto(gateway.base + '/services/msci');
      await page.selectOption('#p60001', 'Disable');
      await page.click('text=Apply');
      await page.waitForSelector('text=Disable is saved, Enable is in use.');
      await page.click('.acts >> text=Reboot');
      await page.click('text=Reboot now');
      await page.waitForSelector('h1:has-text("Rebooting")');
      await page.goto(gateway.base + '/admin/reset');
      await page.fill('#typed', 'reset');
      await page.click('text=Reset the gateway');
      await page.waitForSelector('h1:has-text("Resetting")');
      equal(page.sins.join('\n'), '', 'sins');
      await page.context().close();
    });
    equal(told, 'sets=1 activations=0 reboots=1 resets=1 checkins=1', 'what the gateway was told');
  },

  async 'acemanager: the keyboard is enough'(browser, program) {
    await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway);
      await page.goto(gateway.base + '/login');
      await page.focus('#password');
      await page.keyboard.type(gateway.password);
      await page.keyboard.press('Enter');
      await page.waitForURL('**/status');
      await page.keyboard.press('Tab');
      equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content', 'first stop');
      const stops = [];
      for (let i = 0; i < 14; i++) {
        await page.keyboard.press('Tab');
        const stop = await page.evaluate(() => {
          const style = getComputedStyle(document.activeElement);
          return { text: document.activeElement.textContent.trim(), ring: style.outlineStyle !== 'none' };
        });
        if (!stop.ring) fail(`no focus ring on ${stop.text}`);
        stops.push(stop.text);
      }
      for (const stop of ['ACEmanager', 'Log out', 'Status', 'Services', 'Admin', 'Refresh']) {
        if (!stops.includes(stop)) fail(`Tab does not reach ${stop}: ${stops}`);
      }
      await page.context().close();
    });
  },

  async 'acemanager: values refresh themselves'(browser, program) {
    await withGateway(program, 'busy', async (gateway) => {
      const page = await open(browser, gateway);
      await page.clock.install();
      await logIn(page, gateway);
      await page.waitForSelector('#strip >> text=Tunnel up');
      gateway.process.kill('SIGUSR1');
      for (let i = 0; i < 40 && await page.locator('#strip >> text=Tunnel down').count() === 0; i++) {
        await page.clock.runFor(15100);
        await page.evaluate(() => fetch('/login', { method: 'HEAD' })); // a round trip: answers have come
      }
      await page.waitForSelector('#strip >> text=Tunnel down');
      await page.waitForSelector('#cards >> text=no answer from amm.example.net');
      equal(page.sins.join('\n'), '', 'sins');
      await page.context().close();
    });
  },

  async 'acemanager: what a network says is shown and does nothing'(browser, program) {
    await withGateway(program, 'hostile', async (gateway) => {
      const page = await open(browser, gateway);
      await logIn(page, gateway);
      for (const path of pages) {
        await page.goto(`${gateway.base}/${path}`);
        equal(await page.locator('img').count(), 0, 'pictures on ' + path);
      }
      await page.goto(gateway.base + '/status');
      if (!(await page.textContent('#cards')).includes('<script>alert(1)</script>')) fail('not shown as text');
      equal(page.sins.join('\n'), '', 'sins');
      await page.context().close();
    });
  },

  async 'acemanager: another site can neither read nor change anything'(_, program) {
    // evil.example is made to be the gateway's address (DNS rebinding), and serves a page of its own as well
    const browser = await launch('--host-resolver-rules=MAP evil.example 127.0.0.1');
    const told = await withGateway(program, 'busy', async (gateway) => {
      const attack = `<form id=f method=post action="${gateway.base}/admin/reboot"><input name=csrf value=x></form>
        <iframe id=i src="${gateway.base}/status"></iframe>`;
      const server = createServer((_request, answer) => {
        answer.setHeader('Content-Type', 'text/html');
        answer.end(attack);
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.on('listening', resolve));
      const page = await open(browser, gateway);
      await logIn(page, gateway);

      const rebound = await page.context().newPage();
      const answer = await rebound.goto(`https://evil.example:${gateway.port}/status`);
      equal(answer.status(), 421, 'rebinding');

      const site = await page.context().newPage();
      await site.goto(`http://evil.example:${server.address().port}/`);
      const read = await site.evaluate((url) => fetch(url, { credentials: 'include' }).then(() => 'read', () => 'refused'),
        gateway.base + '/status');
      equal(read, 'refused', 'fetch by another site');
      const frame = site.frames().find((f) => f.url().startsWith(gateway.base));
      if (frame && (await frame.content()).includes('Bus 1047')) fail('framed');
      const [posted] = await Promise.all([
        site.waitForResponse((r) => r.url().endsWith('/admin/reboot')),
        site.evaluate(() => document.getElementById('f').submit()),
      ]);
      equal(posted.status(), 403, 'form of another site');
      server.close();
      server.closeAllConnections();
      await page.context().close();
    });
    await browser.close();
    equal(told, 'sets=0 activations=0 reboots=0 resets=0 checkins=0', 'what the gateway was told');
  },
};
