// node run.mjs PREVIEW [RESULTS] [--all]: the browser tests; RESULTS gets one JSON line a test, like meson's.
import { appendFileSync } from 'node:fs';
import { tests as acemanager } from './acemanager.mjs';
import { tests as console_ } from './console.mjs';
import { tests as hostile } from './console_hostile.mjs';
import { tests as pages } from './console_pages.mjs';
import { launch } from './harness.mjs';

const tests = { ...acemanager, ...console_, ...hostile, ...pages };

const [program, results] = process.argv.slice(2);
const browser = await launch();
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  const start = Date.now();
  let result = 'OK';
  try {
    await test(browser, program);
  } catch (error) {
    result = 'FAIL';
    failed++;
    console.log(`${name}: ${error.stack}`);
  }
  console.log(`${result.padEnd(4)} ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  if (results) appendFileSync(results, JSON.stringify({ name, result }) + '\n');
}
await browser.close();
process.exit(failed ? 1 : 0);
