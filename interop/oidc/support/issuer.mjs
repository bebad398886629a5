// A company's identity provider: oidc-provider as it comes, on a port of its own.

import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer, request } from "node:https";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Provider } from "oidc-provider";

/** The audience of token-provider's access tokens, as a resource indicator (RFC 8707). */
export const RESOURCE = "https://tokens.example.com";
/** Another service of the company. */
export const OTHER_RESOURCE = "https://files.example.com";
/** What the page's users sign in at; the audience of ID tokens. */
export const PAGE = "maps-page";

const SERVICES = { dashboard: { groups: ["maps", "staff"] }, outsider: { groups: ["staff"] }, scoped: {} };
const REDIRECT = "https://maps.example.com/signed-in";

const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  PS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  ES384: ["ec", { namedCurve: "P-384" }],
  ES512: ["ec", { namedCurve: "P-521" }],
  EdDSA: ["ed25519", {}],
};

/** Makes a key to sign with. */
export function makeKey(alg, kid) {
  const { privateKey } = generateKeyPairSync(...KINDS[alg]);
  return { ...privateKey.export({ format: "jwk" }), alg, kid, use: "sig" };
}

/**
 * Starts the identity provider. The first key signs; all are published. `requests` counts by path what it was asked. With `tls` (`key`,
 * `cert` and the `ca` that has signed it, as PEM) it is at https://localhost.
 */
export async function startIssuer(keys, port = 0, tls = undefined) {
  let handle;
  const requests = new Map();
  const listener = (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    requests.set(pathname, (requests.get(pathname) ?? 0) + 1);
    handle(request, response);
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const origin = `${tls ? "https://localhost" : "http://127.0.0.1"}:${server.address().port}`;
  const secret = randomBytes(32).toString("base64url");
  const cookieKey = randomBytes(32).toString("base64url");

  /** What an operator does to rotate: the same provider, started with other keys. */
  const useKeys = (keys) => {
    handle = handlerOf(new Provider(origin, configuration(keys, secret, cookieKey)));
  };
  useKeys(keys);

  const post = async (form, client) => {
    const authorization = `Basic ${Buffer.from(`${client}:${secret}`).toString("base64")}`;
    const body = new URLSearchParams(form).toString();
    const response = await send(`${origin}/token`, { authorization }, body, tls?.ca);
    const answer = JSON.parse(response.text);
    if (response.status !== 200) throw new Error(`the identity provider: ${JSON.stringify(answer)}`);
    return answer;
  };

  return {
    origin,
    requests,
    useKeys,
    /** An access token for a service, by client credentials. */
    async accessToken(client = "dashboard", { resource = RESOURCE, scope } = {}) {
      const form = { grant_type: "client_credentials", resource };
      if (scope) form.scope = scope;
      return (await post(form, client)).access_token;
    },
    /** The ID token of a user who signs in at the page, with the authorization code flow and PKCE. */
    async idToken() {
      const code = await signIn(origin);
      const form = { grant_type: "authorization_code", code, redirect_uri: REDIRECT, code_verifier: VERIFIER };
      return (await post(form, PAGE)).id_token;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Posts a form; with `ca` to a server whose certificate that authority has signed, which `fetch` cannot be told. */
async function send(url, headers, body, ca) {
  const options = { method: "POST", headers: { ...headers, "content-type": "application/x-www-form-urlencoded" } };
  if (!ca) {
    const response = await fetch(url, { ...options, body });
    return { status: response.status, text: await response.text() };
  }
  const message = request(url, { ...options, ca, agent: false }).end(body);
  const [response] = await once(message, "response");
  return { status: response.statusCode, text: (await response.toArray()).join("") };
}

function configuration(keys, secret, cookieKey) {
  const [{ alg }] = keys;
  const service = (client_id) => ({
    client_id,
    client_secret: secret,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: alg,
  });
  const page = {
    client_id: PAGE,
    client_secret: secret,
    grant_types: ["authorization_code"],
    redirect_uris: [REDIRECT],
    response_types: ["code"],
    id_token_signed_response_alg: alg,
  };
  return {
    clients: [...Object.keys(SERVICES).map(service), page],
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: Object.keys(KINDS) },
    cookies: { keys: [cookieKey] },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: (_context, token) => SERVICES[token.clientId],
    // Consent was given beforehand, as for a company's own pages.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid");
      await grant.save();
      return grant;
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          audience: resource,
          scope: "tiles routes",
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg } },
        }),
      },
    },
    interactions: { url: (_context, { uid }) => `/sign-in/${uid}` },
    ttl: { Grant: 600, IdToken: 600, Interaction: 600, Session: 600, AuthorizationCode: 60 },
    clientAuthMethods: ["client_secret_basic"],
  };
}

/** Whoever comes to sign in is `alice`. */
function handlerOf(provider) {
  const answer = provider.callback();
  return (request, response) => {
    if (!request.url.startsWith("/sign-in/")) return answer(request, response);
    return provider.interactionFinished(request, response, { login: { accountId: "alice" } });
  };
}

// RFC 7636, appendix B.
const VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/** Goes where a browser would go, cookies and all, until it is sent back to the page. */
async function signIn(origin) {
  const parameters = {
    client_id: PAGE,
    response_type: "code",
    redirect_uri: REDIRECT,
    scope: "openid",
    code_challenge: CHALLENGE,
    code_challenge_method: "S256",
  };
  const cookies = new Map();
  let url = new URL(`/auth?${new URLSearchParams(parameters)}`, origin);
  for (let step = 0; step < 10; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: cookie ? { cookie } : {} });
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = set.match(/^([^=]+)=([^;]*)/);
      cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (!location) throw new Error(`signing in: status ${response.status}: ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(REDIRECT)) {
      const code = url.searchParams.get("code");
      if (!code) throw new Error(`signing in: ${url.search}`);
      return code;
    }
  }
  throw new Error("signing in: too many redirects");
}
