// An authorization server over a real socket, and a guard that makes a McpServer ask for its tokens.
//
//   const as = await OAuthServer.start();
//   as.guard(server);                      every request needs a token; {only: ['tools/call']}: those
//   await as.consent(url, 'ann');          the user's browser: agrees, and follows to the callback
//   as.expire(); as.revoke('ann');         access tokens are refused; so are refresh tokens
//
// It keeps the rules itself: PKCE, redirect URI, resource, a code and a refresh token count once.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { freePort } from './programs.mjs';

const json = (res, status, body, headers = {}) => {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
  res.end(JSON.stringify(body));
};
const secret = (kind) => `${kind}-planted-${randomBytes(18).toString('base64url')}`;

export class OAuthServer {
  /** expiresIn: seconds of access tokens; tokenDelayMs: how long the token endpoint takes. */
  static async start(options = {}) {
    const s = new OAuthServer();
    Object.assign(s, { expiresIn: 3600, tokenDelayMs: 0, ...options });
    s.port = await freePort();
    s.url = `http://127.0.0.1:${s.port}`;
    s.clients = new Map(); // id -> { secret, redirect_uris }
    s.codes = new Map(); // code -> { account, query }
    s.access = new Map(); // token -> { account, scope, resource }
    s.refresh = new Map();
    s.given = []; // every secret it ever gave out
    s.violations = [];
    s.clear();
    s.http = http.createServer((req, res) => s.#serve(req, res).catch((e) => {
      s.violations.push(`the authorization server failed: ${e.stack}`);
      res.destroy();
    }));
    await new Promise((resolve, reject) => s.http.on('error', reject).listen(s.port, '127.0.0.1', resolve));
    return s;
  }

  clear() {
    this.tokenRequests = []; // grant types
    this.registrations = 0;
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** Makes the server ask. `only`: the methods that need a token; `scope(rpc)`: the one they need. */
  guard(server, { only, scope = () => 'read' } = {}) {
    server.hostile['*'] = ({ req, res, rpc }) => {
      const base = `http://127.0.0.1:${server.port}`;
      if (req.url === '/.well-known/oauth-protected-resource/mcp') {
        json(res, 200, { resource: server.url, authorization_servers: [this.url], scopes_supported: ['read', 'write'] });
        return true;
      }
      if (only && !only.includes(rpc?.method)) return false;
      const metadata = `resource_metadata="${base}/.well-known/oauth-protected-resource/mcp"`;
      const token = this.access.get((req.headers.authorization ?? '').replace(/^Bearer /, ''));
      if (!token || token.resource !== server.url) {
        json(res, 401, { error: 'invalid_token' }, { 'WWW-Authenticate': `Bearer ${metadata}, scope="${scope(rpc)}"` });
        return true;
      }
      if (!token.scope.split(' ').includes(scope(rpc))) {
        json(res, 403, {}, { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${scope(rpc)}", ${metadata}` });
        return true;
      }
      return false;
    };
  }

  /** Whose tokens came with these requests of a McpServer. */
  accounts(requests) {
    return [...new Set(requests.map((r) => this.whose(r.headers.authorization)))];
  }

  whose(authorization) {
    return this.given.find((g) => `Bearer ${g.token}` === authorization)?.account;
  }

  expire() {
    this.access.clear();
  }

  revoke(account) {
    for (const map of [this.access, this.refresh]) {
      for (const [token, t] of map) if (t.account === account) map.delete(token);
    }
  }

  /** What a browser does with the link; the answer of the callback. */
  async consent(url, account, { follow = true } = {}) {
    const r = await fetch(`${url}&account=${account}`, { redirect: 'manual' });
    if (r.status !== 302) throw new Error(`authorize: ${r.status} ${await r.text()}`);
    const location = r.headers.get('location');
    return follow ? fetch(location) : location;
  }

  // ---- endpoints ----

  async #serve(req, res) {
    const url = new URL(req.url, this.url);
    let text = '';
    for await (const chunk of req) text += chunk;
    switch (`${req.method} ${url.pathname}`) {
      case 'GET /.well-known/oauth-authorization-server': this.#metadata(res); break;
      case 'POST /register': this.#register(res, JSON.parse(text)); break;
      case 'GET /authorize': this.#authorize(res, url.searchParams); break;
      case 'POST /token': await this.#token(req, res, new URLSearchParams(text)); break;
      default: json(res, 404, {});
    }
  }

  #metadata(res) {
    json(res, 200, {
      issuer: this.url, authorization_endpoint: `${this.url}/authorize`, token_endpoint: `${this.url}/token`,
      registration_endpoint: `${this.url}/register`, response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'], code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'], authorization_response_iss_parameter_supported: true,
    });
  }

  #register(res, body) {
    this.registrations++;
    const id = `client-${this.clients.size + 1}`;
    const client = { secret: secret('client'), redirect_uris: body.redirect_uris };
    this.clients.set(id, client);
    this.given.push({ token: client.secret });
    json(res, 201, { client_id: id, client_secret: client.secret, token_endpoint_auth_method: 'client_secret_basic', redirect_uris: body.redirect_uris });
  }

  #authorize(res, query) {
    const client = this.clients.get(query.get('client_id'));
    if (!client?.redirect_uris.includes(query.get('redirect_uri')) || query.get('code_challenge_method') !== 'S256') {
      json(res, 400, { error: 'invalid_request' });
      return;
    }
    const back = new URL(query.get('redirect_uri'));
    back.searchParams.set('state', query.get('state'));
    back.searchParams.set('iss', this.url);
    if (query.get('account') === 'nobody') {
      back.searchParams.set('error', 'access_denied');
    } else {
      const code = secret('code');
      this.given.push({ token: code });
      this.codes.set(code, { account: query.get('account'), query });
      back.searchParams.set('code', code);
    }
    res.writeHead(302, { Location: back.href }).end();
  }

  #authenticated(req) {
    const [id, key] = Buffer.from((req.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString().split(':').map(decodeURIComponent);
    return this.clients.get(id)?.secret === key ? id : undefined;
  }

  async #token(req, res, form) {
    this.tokenRequests.push(form.get('grant_type'));
    await new Promise((resolve) => setTimeout(resolve, this.tokenDelayMs));
    const client = this.#authenticated(req);
    if (!client) {
      json(res, 401, { error: 'invalid_client' });
    } else if (form.get('grant_type') === 'authorization_code') {
      this.#exchange(res, client, form);
    } else if (form.get('grant_type') === 'refresh_token') {
      const t = this.refresh.get(form.get('refresh_token'));
      this.refresh.delete(form.get('refresh_token'));
      if (t?.client !== client || t.resource !== form.get('resource')) json(res, 400, { error: 'invalid_grant' });
      else this.#give(res, t);
    } else {
      json(res, 400, { error: 'unsupported_grant_type' });
    }
  }

  #exchange(res, client, form) {
    const c = this.codes.get(form.get('code'));
    this.codes.delete(form.get('code'));
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    const right = c && c.query.get('client_id') === client && c.query.get('redirect_uri') === form.get('redirect_uri')
      && c.query.get('code_challenge') === challenge && c.query.get('resource') === form.get('resource');
    if (!right) {
      json(res, 400, { error: 'invalid_grant' });
      return;
    }
    this.#give(res, { account: c.account, client, scope: c.query.get('scope') ?? '', resource: form.get('resource') });
  }

  #give(res, t) {
    const [access, refresh] = [secret('access'), secret('refresh')];
    this.access.set(access, t);
    this.refresh.set(refresh, t);
    this.given.push({ token: access, account: t.account }, { token: refresh, account: t.account });
    json(res, 200, { access_token: access, refresh_token: refresh, token_type: 'Bearer', expires_in: this.expiresIn, scope: t.scope });
  }
}
