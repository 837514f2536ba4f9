// A developer at a browser who reads the API's pages. Usage: node docs.mjs URL. Says what was seen as a line of JSON.
import { chromium } from 'playwright-core';

const [url] = process.argv.slice(2);
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
  const complaints = [];
  const elsewhere = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== 'data:' && asked.origin !== new URL(url).origin) elsewhere.push(request.url());
  });

  await page.goto(url);
  await page.locator('.opblock').first().waitFor();
  const operations = await page.locator('.opblock').evaluateAll((blocks) => blocks.map((block) => [
    block.querySelector('.opblock-summary-method').innerText.toLowerCase(),
    // Where a line may break, the page puts a character of no width.
    block.querySelector('.opblock-summary-path').innerText.replaceAll('\u200b', ''),
  ].join(' ')));
  // One of them opened: what it takes and what it answers.
  await page.locator('#operations-task-task_create .opblock-summary-control').click();
  const opened = await page.locator('#operations-task-task_create .opblock-body').innerText();
  console.log(JSON.stringify({ url: page.url(), operations, opened, complaints, elsewhere }));
} finally {
  await browser.close();
}
