// A Stripe of other people's making on a free port of 127.0.0.1. Usage: node stripe.mjs WEBHOOK_URL SECRET. It says where it is.
import { createEmulator } from 'emulate';

const [url, secret] = process.argv.slice(2);
const product = 'A film';
const stripe = {
  products: [{ name: product }],
  prices: [{ product_name: product, currency: 'usd', unit_amount: 1000 }],
  webhooks: [{ url, secret, events: ['*'] }],
};
const running = await createEmulator({ service: 'stripe', port: 0, seed: { stripe } });
console.log(`listens on ${running.url.replace('localhost', '127.0.0.1')}`);
