// A certified OpenID provider on loopback: every grant that scheme oauth2 knows. `node oidc.mjs PORT` with the settings in OIDC (JSON).
import { createServer } from 'node:http';
import * as jose from 'jose';
import { Provider, errors } from 'oidc-provider';

const port = Number(process.argv[2]);
const given = JSON.parse(process.env.OIDC);
const issuer = `http://127.0.0.1:${port}`;
const grants = ['client_credentials', 'authorization_code', 'refresh_token', 'password', 'urn:ietf:params:oauth:grant-type:jwt-bearer'];
const client = (client_id, more) => ({
  client_id, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: 'read write offline_access openid', ...more,
});

const provider = new Provider(issuer, {
  clients: [
    client('basic', { client_secret: given.secret, token_endpoint_auth_method: 'client_secret_basic' }),
    client('post', { client_secret: given.secret, token_endpoint_auth_method: 'client_secret_post' }),
    client('signs', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: given.keys }, token_endpoint_auth_signing_alg: given.alg }),
    client('narrow', { client_secret: given.secret, token_endpoint_auth_method: 'client_secret_basic', scope: 'read' }),
    client('native', {
      token_endpoint_auth_method: 'none', application_type: 'native', grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'], redirect_uris: ['http://127.0.0.1/callback'],
    }),
    // People sign in to the platform itself with this one; the claims that say who they are stand in the ID token.
    client('airflow', {
      client_secret: given.secret, token_endpoint_auth_method: 'client_secret_post', application_type: 'native',
      grant_types: ['authorization_code'], response_types: ['code'], redirect_uris: ['http://127.0.0.1/auth/oauth-authorized/company'],
    }),
    client('person', { client_secret: given.secret, token_endpoint_auth_method: 'client_secret_post', grant_types: ['password', 'refresh_token'] }),
    client('states', { token_endpoint_auth_method: 'none', grant_types: ['urn:ietf:params:oauth:grant-type:jwt-bearer'] }),
    client('resource', { client_secret: given.secret, token_endpoint_auth_method: 'client_secret_basic' }),
  ],
  scopes: ['openid', 'offline_access', 'read', 'write'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
  features: {
    clientCredentials: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true }, devInteractions: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  ttl: { AccessToken: given.ttl, ClientCredentials: given.ttl, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, AuthorizationCode: 60 },
  claims: { openid: ['sub', 'email', 'groups'] },
  conformIdTokenClaims: false,
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, groups: ['erp-team'] }) }),
  cookies: { keys: ['only for tests'] },
});

async function tokensFor(ctx, accountId, scope, refresh) {
  const { client: asking } = ctx.oidc;
  const grant = new provider.Grant({ accountId, clientId: asking.clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const common = { accountId, client: asking, grantId, gty: 'test', scope };
  const access = new provider.AccessToken(common);
  const body = { access_token: await access.save(), token_type: 'Bearer', expires_in: access.expiration, scope };
  if (refresh) body.refresh_token = await new provider.RefreshToken(common).save();
  ctx.body = body;
}

provider.registerGrantType('password', async (ctx) => {
  const { username, password, scope } = ctx.oidc.params;
  if (username !== 'ürsula' || password !== given.secret) throw new errors.InvalidGrant('wrong user or password');
  await tokensFor(ctx, username, scope ?? 'read', true);
}, ['username', 'password', 'scope']);

provider.registerGrantType(grants[4], async (ctx) => {
  try {
    const keys = jose.createLocalJWKSet({ keys: given.keys });
    const { payload } = await jose.jwtVerify(ctx.oidc.params.assertion, keys, { audience: `${issuer}/token`, issuer: 'states', maxTokenAge: 600 });
    await tokensFor(ctx, payload.sub, 'read', false);
  } catch (fault) {
    throw new errors.InvalidGrant(fault.message);
  }
}, ['assertion', 'scope']);

provider.on('server_error', (_ctx, fault) => console.error(fault));
createServer(provider.callback()).listen(port, '127.0.0.1', () => console.log('ready'));
