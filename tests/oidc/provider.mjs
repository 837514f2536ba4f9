// A real OpenID provider with Google's paths. Usage: node provider.mjs CALLBACK_URL. It takes a free port and says which.
// Two applications are known: ours, and another one whose tokens must open nothing. Whoever logs in is who they say;
// a name that begins with "unverified" has an address that was never verified.
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [callback] = process.argv.slice(2);
const counts = {};
const server = createServer();
await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
const issuer = `http://127.0.0.1:${server.address().port}`;
const application = (name, redirect) => ({
  client_id: name,
  client_secret: `${name}-secret`,
  redirect_uris: [redirect],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'client_secret_post',
});
const provider = new Provider(issuer, {
  clients: [application('mixvideo', callback), application('another', 'http://127.0.0.1:1/back')],
  routes: {
    authorization: '/o/oauth2/v2/auth',
    token: '/token',
    userinfo: '/v1/userinfo',
    revocation: '/revoke',
    jwks: '/oauth2/v3/certs',
  },
  scopes: ['openid', 'email', 'profile', 'offline_access'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
  features: { revocation: { enabled: true }, devInteractions: { enabled: true } },
  // Left to the application, so that the tests can take it away.
  pkce: { required: () => false },
  issueRefreshToken: async () => true,
  // Stricter than Google: each refresh token works once, and a second use ends the grant.
  rotateRefreshToken: true,
  extraParams: ['access_type', 'include_granted_scopes'],
  ttl: { AccessToken: 3600, RefreshToken: 86400, Grant: 86400, Session: 3600, Interaction: 600, IdToken: 3600 },
  cookies: { keys: ['test'] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      email: `${id}@example.com`,
      email_verified: !id.startsWith('unverified'),
      name: 'User Name',
      picture: `https://example.com/${id}.png`,
    }),
  }),
});
// What Google has beside the protocol, and what the tests ask.
provider.use(async (ctx, next) => {
  counts[ctx.path] = (counts[ctx.path] ?? 0) + 1;
  if (ctx.path === '/counts') {
    ctx.body = counts;
  } else if (ctx.path === '/tokeninfo') {
    const token = await provider.AccessToken.find(String(ctx.query.access_token));
    if (token?.isValid) {
      const { clientId: aud, accountId: sub, scope, remainingTTL } = token;
      ctx.body = { aud, azp: aud, sub, scope, expires_in: String(remainingTTL), email_verified: 'true' };
    } else {
      ctx.status = 400;
      ctx.body = { error: 'invalid_token', error_description: 'Invalid Value' };
    }
  } else {
    await next();
  }
});
server.on('request', provider.callback());
console.log(`listens on ${issuer}`);
