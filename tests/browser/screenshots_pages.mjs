// node screenshots_pages.mjs FOLDER: pictures of the pages for many gateways, of a real ammd with 7 000 made-up gateways.
import { join } from 'node:path';
import { Ammd } from './console_ammd.mjs';
import { launch } from './harness.mjs';

const thresholds = [
  { label: 'Heartbeat', stat: 'Heartbeat', dashboard_group: 1, order: 1, warning: { op: 'gt', value: 2700 }, error: { op: 'gt', value: 7200 } },
  { label: 'RSRP', stat: 'CellLink-RSRP', unit: 'dBm', dashboard_group: 2, order: 1, warning: { op: 'lt', value: -120 }, error: { op: 'lt', value: -126 } },
  { label: 'SINR', stat: 'CellLink-SINR', unit: 'dB', dashboard_group: 2, order: 2, warning: { op: 'lt', value: 1 } },
  { label: 'State', stat: 'ConfigurationState', dashboard_group: 3, order: 1 },
  { label: 'Software', stat: 'SoftwareVersion', dashboard_group: 3, order: 2 },
];

/** Name, path, what is there once it is ready, the look, and what is done before the picture. */
const pictures = [
  ['dashboard', '/dashboard', 'tbody .gateway-name', {}],
  ['dashboard-dark', '/dashboard', 'tbody .gateway-name', { colorScheme: 'dark' }],
  ['dashboard-phone', '/dashboard', 'tbody .gateway-name', { viewport: { width: 390, height: 844 } }],
  ['thresholds', '/thresholds', 'tbody', {}],
  ['threshold', '/thresholds?add=1', 'h1', {}, async (page) => {
    await page.fill('input[list=stat-names]', 'CellLink-RSRP');
    await page.selectOption('label:text-is("Error when it") >> xpath=.. >> select', 'lt');
    await page.fill('label:text-is("Error when it: value") >> xpath=.. >> input', '-120');
    await page.waitForSelector('.preview-names');
  }],
  ['sheet', '/admin/imports/1', 'text=/Apply \\d/', {}],
  ['sheet-dark', '/admin/imports/1', 'text=/Apply \\d/', { colorScheme: 'dark' }],
  ['tunnels', '/tunnels', 'text=10.4.32.0/19', {}, async (page) => {
    await page.click('button[aria-label="Change the pool of port 1192"]');
    await page.fill('label:text-is("New pool") >> xpath=.. >> input', '10.4.32.0/19');
    await page.waitForSelector('text=/Overlaps 1190/');
  }],
  ['add', '/add', 'h1', {}],
  ['admin', '/admin', 'h2', {}],
];

async function upload(ammd) {
  const rows = ['Serial,10034,Note'];
  for (let i = 0; i < 7000; i++) rows.push(`BN${String(i).padStart(10, '0')},${i % 30 === 0 ? 1190 : i % 701 === 4 ? 1194 : ''},${i % 97 === 5 ? '=A1&B1' : `line ${i % 12}`}`);
  await fetch(`${ammd.base}/api/v1/imports?filename=fleet-november.csv`, {
    method: 'POST', body: rows.join('\r\n'), headers: { Cookie: ammd.cookie, 'X-AMM-Request': '1', 'Content-Type': 'application/octet-stream' } });
}

const [folder] = process.argv.slice(2);
const ammd = await Ammd.start({ fixture: 7000 });
await ammd.logIn();
for (const one of thresholds) await ammd.ask('POST', '/thresholds', { tenant: '1', ...one });
await upload(ammd);
const browser = await launch();
for (const [name, path, ready, look, before] of pictures) {
  const context = await ammd.context(browser, { reducedMotion: 'reduce', ...look });
  const page = await context.newPage();
  await page.goto(ammd.base + path);
  await page.waitForSelector(ready);
  await before?.(page);
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  await page.screenshot({ path: join(folder, `${name}.png`) });
  console.log(join(folder, `${name}.png`));
  await context.close();
}
await browser.close();
await ammd.stop();
