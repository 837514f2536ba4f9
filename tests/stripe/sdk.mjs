// Sells and refunds through Stripe's own SDK. Arguments: the port of a double of Stripe, a key, a webhook secret.
// It prints the id of a session, waits until that is paid, and reads the event that tells of it from its input.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline/promises';
import Stripe from 'stripe';

const [port, key, secret] = process.argv.slice(2);
const stripe = new Stripe(key, { host: '127.0.0.1', port: Number(port), protocol: 'http', maxNetworkRetries: 0 });

const product = await stripe.products.create({ id: 'prod_sdk', name: 'A film', metadata: { a: '1' } });
assert.equal(product.active, true);
await assert.rejects(stripe.products.create({ id: 'prod_sdk', name: 'Another' }), { code: 'resource_already_exists' });
const price = await stripe.prices.create({ product: product.id, unit_amount: 1500, currency: 'usd' });
assert.equal((await stripe.prices.update(price.id, { active: false })).active, false);
assert.deepEqual((await stripe.prices.list({ product: product.id })).data.map((one) => one.id), [price.id]);
await assert.rejects(stripe.products.retrieve('prod_none'), { type: 'StripeInvalidRequestError', statusCode: 404 });

const session = await stripe.checkout.sessions.create({
  mode: 'payment',
  line_items: [{ price_data: { currency: 'usd', unit_amount: 1500, product_data: { name: 'A film' } }, quantity: 1 }],
  metadata: { payment_id: 'pay_1' },
  payment_intent_data: { metadata: { payment_id: 'pay_1' } },
  success_url: 'https://shop.example/success',
});
assert.equal(session.payment_status, 'unpaid');
process.stdout.write(`${session.id}\n`);
const lines = createInterface({ input: process.stdin });
const payload = (await lines[Symbol.asyncIterator]().next()).value;
lines.close();

const header = stripe.webhooks.generateTestHeaderString({ payload, secret });
const event = stripe.webhooks.constructEvent(payload, header, secret);
assert.equal(event.type, 'checkout.session.completed');
assert.equal(event.data.object.id, session.id);

const paid = await stripe.checkout.sessions.retrieve(session.id);
assert.equal(paid.payment_status, 'paid');
const intent = await stripe.paymentIntents.retrieve(paid.payment_intent);
assert.deepEqual([intent.amount_received, intent.metadata.payment_id], [1500, 'pay_1']);

const once = { idempotencyKey: 'refund-1' };
const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 500 }, once);
const again = await stripe.refunds.create({ payment_intent: intent.id, amount: 500 }, once);
assert.equal(again.id, refund.id);
assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
await assert.rejects(stripe.refunds.create({ payment_intent: intent.id, amount: 700 }, once), { type: 'StripeIdempotencyError' });
await assert.rejects(stripe.refunds.create({ payment_intent: intent.id, amount: 1500 }), {
  message: 'Refund amount ($15.00) is greater than unrefunded amount on charge ($10.00)',
});
await stripe.refunds.create({ payment_intent: intent.id });
await assert.rejects(stripe.refunds.create({ payment_intent: intent.id }), { code: 'charge_already_refunded' });
const all = [];
for await (const one of stripe.refunds.list({ payment_intent: intent.id, limit: 1 })) all.push(one.amount);
assert.deepEqual(all, [1000, 500]);
const charges = await stripe.charges.list({ payment_intent: intent.id });
assert.deepEqual([charges.data[0].amount_refunded, charges.data[0].refunded], [1500, true]);
assert.equal((await stripe.accounts.retrieveCurrent()).country, 'US');
