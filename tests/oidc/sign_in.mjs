// A person at a browser: opens an address, logs in, consents, and shows where that led. Usage: node sign_in.mjs URL NAME.
import { chromium } from 'playwright-core';

const [url, name] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  await page.fill('input[name=login]', name);
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
  const consent = await page.innerText('body');
  await Promise.all([page.waitForURL(/\/auth\/google\/callback|\/landed/), page.click('button[type=submit]')]);
  const body = await page.innerText('body');
  console.log(JSON.stringify({ url: page.url(), body, consent, cookies: await page.evaluate('document.cookie') }));
} finally {
  await browser.close();
}
