// The requests of HERE's Java and C++ SDKs, and what these do when their clock is wrong, request by request.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { CppClient } from "../support/cpp.mjs";
import { send } from "../support/http.mjs";
import { JavaClient } from "../support/java.mjs";
import { SCOPE, startWorld } from "../support/world.mjs";

const timeout = 60_000;
const HALF_AN_HOUR = 1800;

let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.end());

const client = (Client, options) => new Client({ url: world.tokenUrl, id: world.id, secret: world.secret, ...options });
const clocks = { "half an hour behind": -HALF_AN_HOUR, "half an hour ahead": HALF_AN_HOUR };
const off = (seconds) => () => Date.now() / 1000 + seconds;

test("Java: a form, answered in its spelling", { timeout }, async () => {
  const { status, json } = await client(JavaClient).token();
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(json).sort(), ["access_token", "expires_in", "token_type"]);
  assert.equal(json.token_type.toLowerCase(), "bearer");
  assert.ok(json.expires_in > 900 && json.expires_in <= 3600, "an hour, where nothing is asked for");
  assert.equal((await world.hello(json.access_token)).status, 200);
});

test("Java: every field of the form is signed, and the query", { timeout }, async () => {
  const { bodies } = JSON.parse(await readFile(new URL("../data/java-signatures.json", import.meta.url), "utf8"));
  for (const { form } of bodies) {
    // Its own test has a lifetime and a scope that nobody would have configured here.
    const { status, json } = await client(JavaClient).token({ ...form, expires_in: "600", scope: SCOPE });
    assert.equal(status, 200, JSON.stringify(json));
    assert.equal(json.scope, SCOPE);
    assert.ok(json.expires_in <= 600);
  }
  for (const query of ["?a=b%20c&a=B&plus=1%2B1", "?flag&label=A+test"]) {
    assert.equal((await client(JavaClient, { url: world.tokenUrl + query }).token()).status, 200, query);
  }
  const changed = client(JavaClient).signed({ expires_in: "600" });
  changed.body = changed.body.replace("600", "900");
  assert.equal((await send(changed)).json.errorCode, 401300);
});

test("Java: the same signed request again after a 503, as its retry policy sends it, and then no more", { timeout }, async () => {
  const faults = (options) => fetch(`${world.sandbox.origin}/sandbox/faults`, options);
  const outage = { method: "PUT", headers: { "Content-Type": "application/json" }, body: '[{"status": 503}]' };
  assert.ok((await faults(outage)).ok);
  const java = client(JavaClient);
  const request = java.signed({ expires_in: "1800" });
  let received;
  try {
    const { status, json } = await java.send(request);
    assert.equal(status, 503);
    assert.equal(json.errorCode, undefined);
    // The server goes on by itself, after a pause.
    received = world.next((record) => record.message === "token received" && record["token.lifetime"] === 1800);
  } finally {
    await faults({ method: "DELETE" });
  }
  await received;
  const answer = await java.send(request);
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await java.send(request)).json.errorCode, 401207);
});

test("C++: JSON, answered in its spelling; a device counts for nothing", { timeout }, async () => {
  const { status, json } = await client(CppClient).token({ deviceId: "device-1" });
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(json).sort(), ["accessToken", "expiresIn", "tokenType"]);
  assert.equal((await world.hello(json.accessToken)).status, 200);
  const scoped = await client(CppClient).token({ expiresIn: 600, scope: SCOPE });
  assert.equal(scoped.json.scope, SCOPE);
  assert.ok(scoped.json.expiresIn <= 600);
});

for (const [name, seconds] of Object.entries(clocks)) {
  test(`Java with a clock ${name}: one look at /timestamp, and once more; from then on it is right`, { timeout }, async () => {
    const java = client(JavaClient, { clock: off(seconds) });
    assert.equal((await java.token()).status, 200);
    const repaired = [["POST", "/oauth2/token", 401], ["GET", "/timestamp", 200], ["POST", "/oauth2/token", 200]];
    assert.deepEqual(java.requests, repaired);
    assert.equal((await java.token()).status, 200);
    assert.deepEqual(java.requests.slice(3), [["POST", "/oauth2/token", 200]]);
  });

  test(`C++ with a clock ${name}: the time of the answer's Date, and once more`, { timeout }, async () => {
    const cpp = client(CppClient, { clock: off(seconds) });
    assert.equal((await cpp.token()).status, 200);
    assert.deepEqual(cpp.requests, [["POST", "/oauth2/token", 401], ["POST", "/oauth2/token", 200]]);
  });
}

test("C++ that does not believe its clock: the server's time before each token", { timeout }, async () => {
  const cpp = client(CppClient, { clock: off(-HALF_AN_HOUR), useSystemTime: false });
  assert.equal((await cpp.token()).status, 200);
  assert.deepEqual(cpp.requests, [["GET", "/timestamp", 200], ["POST", "/oauth2/token", 200]]);
});
