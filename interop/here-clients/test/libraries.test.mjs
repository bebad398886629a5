// npm's oauth-1.0a, which knows nothing of HERE.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import OAuth from "oauth-1.0a";

import { send } from "../support/http.mjs";
import { notThis, SCOPE, startWorld } from "../support/world.mjs";

const timeout = 60_000;

let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.end());

function signer(secret) {
  return new OAuth({
    consumer: { key: world.id, secret },
    signature_method: "HMAC-SHA256",
    hash_function: (text, key) => createHmac("sha256", key).update(text).digest("base64"),
  });
}

/** A token request with a form, which is signed; or with JSON, which is not. */
function request({ secret = world.secret, form, json, url = world.tokenUrl }) {
  const oauth = signer(secret);
  const { Authorization } = oauth.toHeader(oauth.authorize({ url, method: "POST", data: form }));
  const type = form ? "application/x-www-form-urlencoded" : "application/json";
  const body = form ? String(new URLSearchParams(form)) : JSON.stringify(json);
  return send({ method: "POST", url, headers: { Authorization, "Content-Type": type }, body });
}

test("a form", { timeout }, async () => {
  const { status, json, text } = await request({ form: { grant_type: "client_credentials", expires_in: "900", scope: SCOPE } });
  assert.equal(status, 200, text);
  assert.equal(json.scope, SCOPE);
  assert.ok(json.expires_in <= 900);
  assert.equal((await world.hello(json.access_token)).status, 200);
});

test("JSON, with a query that is signed", { timeout }, async () => {
  const body = { grantType: "client_credentials", expiresIn: 900 };
  for (const query of ["", "?sentWith=OLP-TS-SDK-1.11.0", "?z=1&a=b%20c"]) {
    const { status, json, text } = await request({ json: body, url: world.tokenUrl + query });
    assert.equal(status, 200, query + text);
    assert.equal((await world.hello(json.accessToken)).status, 200);
  }
});

test("a wrong secret is refused", { timeout }, async () => {
  const { status, json } = await request({ secret: notThis(world.secret), form: { grant_type: "client_credentials" } });
  assert.deepEqual([status, json.errorCode], [401, 401300]);
});
