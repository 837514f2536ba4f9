// A customer at a browser: chooses a template in the shop, uploads a picture, tries a card that is declined, pays, watches
// the bar and plays the video. Usage: node buy.mjs SHOP_URL TEMPLATE_NAME PICTURE_FILE [DIRECTORY_FOR_SCREENSHOTS].
// Says what it saw as a line of JSON each: the shop, the checkout, the bar, the video.
import { chromium } from 'playwright-core';

const [url, template, picture, screenshots] = process.argv.slice(2);
const tell = (seen) => console.log(JSON.stringify(seen));
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
    const { url: where } = message.location();
    // Browsers ask for an icon by themselves.
    if (message.type() === 'error' && !where.endsWith('/favicon.ico')) complaints.push(`${message.text()} ${where}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) elsewhere.push(request.url());
  });

  const shoot = async (name) => {
    if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
  };
  await page.goto(url);
  const offer = page.locator('form').filter({ has: page.getByRole('heading', { name: template, exact: true }) });
  const price = await offer.locator('.cost').innerText();
  const offers = await page.locator('form').count();
  await offer.locator('input[type=file]').setInputFiles(picture);
  const shown = await offer.locator('img').evaluate(async (image) => (await image.decode(), image.naturalWidth));
  await shoot('1-shop');
  tell({ offers, price, shown });
  await offer.getByRole('button', { name: 'Order' }).click();
  await page.getByRole('button', { name: 'Pay', exact: true }).waitFor();
  await shoot('2-checkout');
  await page.getByRole('button', { name: 'Pay with a card that is declined' }).click();
  const declined = await page.getByRole('alert').innerText();
  tell({ page: await page.innerText('body'), declined });

  await page.getByRole('button', { name: 'Pay', exact: true }).click();
  await page.getByRole('heading', { name: 'It is being made' }).waitFor();
  await shoot('3-making');
  const bar = await page.getByRole('progressbar').evaluate(({ value, max }) => ({ value, max }));
  tell({ title: await page.innerText('h1'), ...bar });

  await page.getByRole('heading', { name: 'It is ready' }).waitFor();
  const film = await page.locator('video').evaluate(async (video) => {
    video.muted = true;
    const ended = new Promise((done, failed) => {
      video.onended = done;
      video.onerror = () => failed(new Error(video.error.message));
    });
    await video.play();
    const begun = video.currentTime;
    await ended;
    return { moved: video.currentTime - begun, width: video.videoWidth, height: video.videoHeight, seconds: video.duration, ended: video.ended };
  });
  await shoot('4-ready');
  const bars = await page.getByRole('progressbar').count();
  tell({ title: await page.innerText('h1'), bars, film, complaints, elsewhere });
} finally {
  await browser.close();
}
