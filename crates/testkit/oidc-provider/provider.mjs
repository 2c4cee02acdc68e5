// The OpenID provider that tests sign in by: the certified `oidc-provider`, with its own pages for signing in and agreeing.
//
// Besides, below /test/: who there is (`people`), where browsers may be sent back to (`redirect`), and by which fault its next
// answers are wrong (`fault`), made with the provider's own key, as only a broken or broken-into provider could.
//
// It ends when its standard input does, so that no test leaves one behind.
import { createServer } from 'node:http';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const CLIENT = { id: 'anima', secret: 'a-secret-of-the-client-0123456789' };

// Only its first line is for who started it; nobody reads on.
console.log = console.info = console.warn = console.error;

const people = new Map();
let redirects = ['http://localhost/none'];
let fault = '';

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

async function key(kid) {
  const pair = await jose.generateKeyPair('RS256', { extractable: true });
  const jwk = async (one) => ({ ...(await jose.exportJWK(one)), kid, alg: 'RS256', use: 'sig' });
  return { kid, private: pair.privateKey, privateJwk: await jwk(pair.privateKey), publicJwk: await jwk(pair.publicKey) };
}
const [own, next, strange] = [await key('own'), await key('next'), await key('own')];

function sign(payload, by, kid = by.kid) {
  return new jose.SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).sign(by.private);
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function faulty(token) {
  const payload = jose.decodeJwt(token);
  const hour = 3600;
  switch (fault) {
    case 'nonce': return sign({ ...payload, nonce: 'another' }, own);
    case 'no-nonce': { const { nonce, ...rest } = payload; return sign(rest, own); }
    case 'audience': return sign({ ...payload, aud: 'another' }, own);
    case 'audiences': return sign({ ...payload, aud: [CLIENT.id, 'another'] }, own);
    case 'party': return sign({ ...payload, azp: 'another' }, own);
    case 'issuer': return sign({ ...payload, iss: 'https://another.example' }, own);
    case 'expired': return sign({ ...payload, iat: payload.iat - 2 * hour, exp: payload.iat - hour }, own);
    case 'old': return sign({ ...payload, iat: payload.iat - hour }, own);
    case 'early': return sign({ ...payload, iat: payload.iat + hour, exp: payload.iat + 2 * hour }, own);
    case 'access-token': return sign({ ...payload, at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }, own);
    case 'signature': return sign(payload, strange);
    case 'unsigned': return `${part({ alg: 'none' })}.${part(payload)}.`;
    case 'shared-secret':
      return new jose.SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(CLIENT.secret));
    case 'next-key': return sign(payload, next);
    default: return token;
  }
}

function make() {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      redirect_uris: redirects,
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    claims: {
      openid: ['sub'],
      profile: ['preferred_username', 'name'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    jwks: { keys: [own.privateJwk] },
    cookies: { keys: ['only-of-a-test'] },
    pkce: { required: () => true, methods: ['S256'] },
    findAccount: (_, login) => (people.has(login) ? { accountId: login, claims: () => people.get(login) } : undefined),
  });
  provider.use(async (ctx, proceed) => {
    await proceed();
    const route = ctx.oidc?.route;
    if (route === 'token' && ctx.body?.id_token) ctx.body.id_token = await faulty(ctx.body.id_token);
    if (route === 'jwks' && fault === 'next-key') ctx.body = { keys: [own.publicJwk, next.publicJwk] };
    if (route === 'userinfo' && fault === 'subject') ctx.body = { ...ctx.body, sub: 'another' };
  });
  return provider.callback();
}

let answer = make();

async function told(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

server.on('request', async (request, response) => {
  if (!request.url.startsWith('/test/')) return answer(request, response);
  const what = await told(request);
  switch (request.url) {
    case '/test/people': people.set(what.sub, what); break;
    case '/test/redirect': redirects = [what]; answer = make(); break;
    case '/test/fault': fault = what; break;
    default: response.statusCode = 404;
  }
  response.end();
});

process.stdout.write(`${JSON.stringify({ issuer, client_id: CLIENT.id, client_secret: CLIENT.secret })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
