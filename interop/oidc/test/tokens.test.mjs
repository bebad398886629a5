// Real tokens of a real identity provider, good and bad, at the server.

import "../../node/support/connections.mjs";

import assert from "node:assert/strict";
import { createHmac, createPublicKey } from "node:crypto";
import { after, before, describe, mock, test } from "node:test";

import { freePort } from "../../node/support/port.mjs";
import { OTHER_RESOURCE, PAGE, RESOURCE, makeKey, startIssuer } from "../support/issuer.mjs";
import { ask, startServerFor, until } from "../support/server.mjs";

const timeout = 30_000;

for (const alg of ["RS256", "PS256", "ES256", "ES384", "EdDSA"]) {
  test(`access token signed with ${alg} lets its bearer in`, { timeout }, async (t) => {
    const issuer = await startIssuer([makeKey(alg, `${alg}-1`)]);
    t.after(() => issuer.stop());
    const server = await startServerFor(issuer.origin, { audience: RESOURCE });
    t.after(server.end);
    const { status, text } = await ask(server, await issuer.accessToken());
    assert.equal(status, 200, text);
    const hello = await fetch(`${server.sandbox}/hello`, { headers: { authorization: `Bearer ${text}` } });
    assert.equal(hello.status, 200, "what was handed out is HERE's token");
  });
}

test("access token signed with ES512 is refused, and so is its key", { timeout }, async (t) => {
  const issuer = await startIssuer([makeKey("ES512", "1")]);
  t.after(() => issuer.stop());
  const server = await startServerFor(issuer.origin, { audience: RESOURCE });
  t.after(server.end);
  const { status, text } = await ask(server, await issuer.accessToken());
  assert.equal(status, 401, text);
  assert.equal(JSON.parse(text).error_description, "the token's signature algorithm is not accepted");
});

describe("with one identity provider", () => {
  const key = makeKey("RS256", "1");
  let issuer;
  let server;

  before(async () => {
    issuer = await startIssuer([key]);
    server = await startServerFor(issuer.origin, { audience: [RESOURCE, PAGE], require: '{ groups = ["maps"] }' });
  });

  after(async () => {
    await server?.end();
    await issuer?.stop();
  });

  const refused = async (token, status, error, description) => {
    const answer = await ask(server, token);
    assert.equal(answer.status, status, answer.text);
    const body = JSON.parse(answer.text);
    assert.equal(body.error, error);
    assert.equal(body.error_description, description);
    if (status === 401) {
      const challenge = `Bearer realm="token-provider", error="invalid_token", error_description="${description}"`;
      assert.equal(answer.headers.get("www-authenticate"), challenge);
    }
    for (const part of token.split(".").filter((part) => part.length > 8)) {
      assert.ok(!answer.text.includes(part), "nothing of the token is in the answer");
    }
  };

  test("hundred requests with one token are no work for the identity provider", { timeout }, async () => {
    const token = await issuer.accessToken();
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(server, token)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(issuer.requests.get("/jwks"), 1);
    assert.equal(issuer.requests.get("/.well-known/openid-configuration"), 1);
  });

  test("no token", { timeout }, async () => {
    const answer = await ask(server, undefined);
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="token-provider"');
  });

  test("a token for another service", { timeout }, async () => {
    const token = await issuer.accessToken("dashboard", { resource: OTHER_RESOURCE });
    await refused(token, 401, "invalid_token", "the token is for another audience");
  });

  test("a token that has expired", { timeout }, async (t) => {
    // The identity provider is in this process: it gives a token as of two hours ago.
    mock.timers.enable({ apis: ["Date"], now: Date.now() - 2 * 3600 * 1000 });
    t.after(() => mock.timers.reset());
    const token = await issuer.accessToken();
    mock.timers.reset();
    await refused(token, 401, "invalid_token", "the token has expired");
  });

  test("a token of tomorrow", { timeout }, async (t) => {
    mock.timers.enable({ apis: ["Date"], now: Date.now() + 24 * 3600 * 1000 });
    t.after(() => mock.timers.reset());
    const token = await issuer.accessToken();
    mock.timers.reset();
    await refused(token, 401, "invalid_token", "the token was issued in the future");
  });

  test("a token whose claims were changed", { timeout }, async () => {
    const [header, payload, signature] = (await issuer.accessToken("outsider")).split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url"));
    claims.groups.push("maps");
    const changed = Buffer.from(JSON.stringify(claims)).toString("base64url");
    await refused([header, changed, signature].join("."), 401, "invalid_token", "the token's signature is wrong");
  });

  test("a token without a signature", { timeout }, async () => {
    const [, payload] = (await issuer.accessToken()).split(".");
    const header = Buffer.from('{"alg":"none","typ":"at+jwt","kid":"1"}').toString("base64url");
    const refusal = [401, "invalid_token", "the token's signature algorithm is not accepted"];
    await refused(`${header}.${payload}.`, ...refusal);
  });

  test("a token signed with the public key as a shared secret", { timeout }, async () => {
    const pem = createPublicKey({ key, format: "jwk" }).export({ type: "spki", format: "pem" });
    const [, payload] = (await issuer.accessToken()).split(".");
    const header = Buffer.from('{"alg":"HS256","typ":"at+jwt","kid":"1"}').toString("base64url");
    const signature = createHmac("sha256", pem).update(`${header}.${payload}`).digest("base64url");
    const refusal = [401, "invalid_token", "the token's signature algorithm is not accepted"];
    await refused(`${header}.${payload}.${signature}`, ...refusal);
  });

  test("a genuine token without the required claim", { timeout }, async () => {
    const description = "claims: the token's `groups` has none of the values required by access.oidc.require";
    await refused(await issuer.accessToken("outsider"), 403, "access_denied", description);
    await refused(await issuer.accessToken("scoped"), 403, "access_denied", description);
  });

  test("an opaque access token", { timeout }, async () => {
    await refused("QUjJGmcQd5vXfo7CmO0dRmEuYkvbPPnK6Bqh3BIXXlE", 401, "invalid_token", "the token is not a well-formed JWT");
  });

  test("a token of another identity provider", { timeout }, async (t) => {
    const stranger = await startIssuer([makeKey("RS256", "1")]);
    t.after(() => stranger.stop());
    await refused(await stranger.accessToken(), 401, "invalid_token", "the token is from another issuer");
  });
});

test("ID token of a user who signed in at the page", { timeout }, async (t) => {
  const issuer = await startIssuer([makeKey("ES256", "1")]);
  t.after(() => issuer.stop());
  const server = await startServerFor(issuer.origin, { audience: PAGE });
  t.after(server.end);
  const token = await issuer.idToken();
  const { sub, aud } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.deepEqual({ sub, aud }, { sub: "alice", aud: PAGE });
  assert.equal((await ask(server, token)).status, 200);
});

test("scopes are required word by word", { timeout }, async (t) => {
  const issuer = await startIssuer([makeKey("ES256", "1")]);
  t.after(() => issuer.stop());
  const server = await startServerFor(issuer.origin, { audience: RESOURCE, require: '{ scope = ["tiles"] }' });
  t.after(server.end);
  const statusFor = async (scope) => (await ask(server, await issuer.accessToken("scoped", { scope }))).status;
  assert.equal(await statusFor("routes tiles"), 200);
  assert.equal(await statusFor("tiles"), 200);
  assert.equal(await statusFor("routes"), 403);
  assert.equal(await statusFor(undefined), 403);
});

test("identity provider that comes later than the server is found", { timeout: 3 * timeout }, async (t) => {
  const port = await freePort();
  const server = await startServerFor(`http://127.0.0.1:${port}`, { audience: RESOURCE });
  t.after(server.end);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: `http://127.0.0.1:${port}`, aud: RESOURCE, sub: "x", exp: Math.ceil(Date.now() / 1000) + 60 };
  const unavailable = ({ status, text, headers }) => {
    assert.equal(status, 503, text);
    assert.equal(JSON.parse(text).error, "temporarily_unavailable");
    assert.match(headers.get("retry-after"), /^[1-9]\d?$/);
  };
  // One that cannot be told from a good one without keys.
  unavailable(await ask(server, `${part({ alg: "ES256", kid: "1" })}.${part(claims)}.AAAA`));
  const issuer = await startIssuer([makeKey("ES256", "1")], port);
  t.after(() => issuer.stop());
  const token = await issuer.accessToken();
  const answers = await until(() => ask(server, token), ({ status }) => status === 200);
  answers.slice(0, -1).forEach(unavailable);
});
