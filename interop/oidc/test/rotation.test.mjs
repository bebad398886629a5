// The identity provider changes its keys while the server runs.

import "../../node/support/connections.mjs";

import assert from "node:assert/strict";
import { test } from "node:test";

import { RESOURCE, makeKey, startIssuer } from "../support/issuer.mjs";
import { ask, startServerFor } from "../support/server.mjs";

const timeout = 30_000;

async function start(t, keys) {
  const issuer = await startIssuer(keys);
  t.after(() => issuer.stop());
  const server = await startServerFor(issuer.origin, { audience: RESOURCE });
  t.after(server.end);
  return { issuer, status: async (token) => (await ask(server, token)).status, server };
}

const kid = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url")).kid;

test("new key beside the old one: tokens of both are good, without a restart", { timeout }, async (t) => {
  const [old, fresh] = [makeKey("RS256", "old"), makeKey("RS256", "new")];
  const { issuer, status } = await start(t, [old]);
  const before = [await issuer.accessToken(), await issuer.accessToken()];
  assert.equal(await status(before[0]), 200);

  issuer.useKeys([fresh, old]);
  const token = await issuer.accessToken();
  assert.deepEqual([kid(before[0]), kid(token)], ["old", "new"]);
  assert.equal(await status(token), 200, "of the new key");
  assert.equal(await status(before[0]), 200, "of the old key, seen before");
  assert.equal(await status(before[1]), 200, "of the old key, not seen before");
  assert.equal(issuer.requests.get("/jwks"), 2);
});

test("new key in place of the old one: tokens of the old one are no longer good", { timeout }, async (t) => {
  const { issuer, status, server } = await start(t, [makeKey("ES256", "old")]);
  const before = await issuer.accessToken();
  assert.equal(await status(before), 200);

  // Another algorithm as well.
  issuer.useKeys([makeKey("EdDSA", "new")]);
  assert.equal(await status(await issuer.accessToken()), 200);
  const { status: refused, text } = await ask(server, before);
  assert.equal(refused, 401);
  assert.equal(JSON.parse(text).error_description, "the token's key is unknown");
});

test("another key by the same name is another key", { timeout }, async (t) => {
  const { issuer, status } = await start(t, [makeKey("ES256", "same")]);
  const before = await issuer.accessToken();
  assert.equal(await status(before), 200);
  const asked = issuer.requests.get("/jwks");
  issuer.useKeys([makeKey("ES256", "same")]);
  // Its name is known, so nobody has the provider asked: as RFC 7517 has it, a new key gets a new name.
  assert.equal(await status(await issuer.accessToken()), 401);
  assert.equal(await status(before), 200);
  assert.equal(issuer.requests.get("/jwks"), asked);
});

test("flood of tokens with unknown keys has the provider asked once", { timeout }, async (t) => {
  const { issuer, status } = await start(t, [makeKey("ES256", "good")]);
  const good = await issuer.accessToken();
  assert.equal(await status(good), 200);
  const [, payload, signature] = good.split(".");
  const flood = Array.from({ length: 200 }, (_, number) => {
    const header = Buffer.from(JSON.stringify({ alg: "ES256", typ: "at+jwt", kid: `unknown-${number}` }));
    return status(`${header.toString("base64url")}.${payload}.${signature}`);
  });
  assert.deepEqual([...new Set(await Promise.all(flood))], [401]);
  assert.equal(await status(good), 200, "others are served");
  assert.equal(issuer.requests.get("/jwks"), 2);
});
