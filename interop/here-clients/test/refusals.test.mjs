// What is refused, and that the refusal is in HERE's form, with HERE's number.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";

import { CppClient } from "../support/cpp.mjs";
import { send } from "../support/http.mjs";
import { JavaClient } from "../support/java.mjs";
import { notThis, startWorld } from "../support/world.mjs";

const timeout = 60_000;

let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.end());

const clients = { "a form": JavaClient, JSON: CppClient };
const client = (Client, options) => new Client({ url: world.tokenUrl, id: world.id, secret: world.secret, ...options });

/** HERE's form, whatever the form of the request. */
function isRefused({ status, headers, json }, [httpStatus, errorCode]) {
  assert.deepEqual([status, json.errorCode], [httpStatus, errorCode], JSON.stringify(json));
  assert.deepEqual(Object.keys(json).sort(), ["error", "errorCode", "errorId", "error_description", "httpStatus", "message"]);
  assert.match(json.errorId, /^ERROR-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  assert.equal(json.httpStatus, httpStatus);
  assert.equal(json.error_description, `errorCode: '${errorCode}'. ${json.message}`);
  assert.match(json.error, /^[a-z_]+$/);
  assert.ok(json.message.length > 10);
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers["cache-control"], "no-store");
  assert.ok(!JSON.stringify(json).includes(world.secret));
}

for (const [form, Client] of Object.entries(clients)) {
  test(`${form}: a wrong secret is 401300`, { timeout }, async () => {
    isRefused(await client(Client, { secret: notThis(world.secret) }).token(), [401, 401300]);
  });

  test(`${form}: an unknown id is 401600, here where callers must authenticate`, { timeout }, async () => {
    for (const id of ["tp.nobody", "SandboxAccessKeyWithoutKey", "x"]) {
      isRefused(await client(Client, { id }).token(), [401, 401600]);
    }
  });
}

test("a request of 10 minutes ago is 401204, with the server's Date", { timeout }, async () => {
  for (const seconds of [-600, 600]) {
    const java = client(JavaClient, { clock: () => Date.now() / 1000 + seconds });
    const answer = await send(java.signed());
    isRefused(answer, [401, 401204]);
    const date = Date.parse(answer.headers.date);
    assert.ok(Math.abs(date - Date.now()) < 30_000, answer.headers.date);
  }
  // Four minutes are within what HERE allows a clock.
  for (const seconds of [-240, 240]) {
    const java = client(JavaClient, { clock: () => Date.now() / 1000 + seconds });
    assert.equal((await java.token()).status, 200);
    assert.equal(java.requests.length, 1);
  }
});

test("the same request twice is 401207", { timeout }, async () => {
  const request = client(JavaClient).signed();
  assert.equal((await send(request)).status, 200);
  for (const _ of [1, 2]) isRefused(await send(request), [401, 401207]);
});

test("what is refused uses up no nonce", { timeout }, async () => {
  const request = client(JavaClient).signed({ expires_in: "600" });
  isRefused(await send({ ...request, body: request.body.replace("600", "900") }), [401, 401300]);
  assert.equal((await send(request)).status, 200);
});

test("lifetimes, grant types and what this server has not", { timeout }, async () => {
  const form = (fields) => client(JavaClient).token(fields);
  isRefused(await form({ expires_in: "59" }), [400, 400209]);
  isRefused(await form({ grant_type: "password" }), [400, 400290]);
  isRefused(await form({ token_format: "jwt" }), [400, 400203]);
  isRefused(await form({ resource: "https://example.com" }), [400, 400203]);
  assert.ok((await form({ expires_in: "0" })).json.expires_in <= 3600);
  const day = await form({ expires_in: "90000" });
  assert.ok(day.json.expires_in > 21_600 && day.json.expires_in <= 86_400, day.text);
});

test("over its rate, a key gets 429002, and hears when to come again", { timeout }, async () => {
  const slow = await startWorld({ policy: 'rate = "1/m"\nburst = 1' });
  try {
    for (const Client of Object.values(clients)) {
      const client = new Client({ url: slow.tokenUrl, id: slow.id, secret: slow.secret });
      const answers = [await client.token(), await client.token()];
      isRefused(answers.find(({ status }) => status !== 200), [429, 429002]);
      assert.ok(Number(answers.at(-1).headers["retry-after"]) > 0);
    }
  } finally {
    await slow.end();
  }
});

test("the correlation id comes back, and one is made where there is none", { timeout }, async () => {
  const id = randomUUID();
  for (const secret of [world.secret, notThis(world.secret)]) {
    const { headers } = await client(JavaClient, { secret, headers: { "X-Correlation-ID": id } }).token();
    assert.equal(headers["x-correlation-id"], id);
    assert.ok((await client(JavaClient, { secret }).token()).headers["x-correlation-id"]);
  }
});

test("who shows nothing gets nothing", { timeout }, async () => {
  const body = "grant_type=client_credentials";
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  assert.equal((await send({ method: "POST", url: world.tokenUrl, headers, body })).status, 401);
  assert.equal((await send({ method: "GET", url: `${world.origin}/getToken`, headers: {} })).status, 401);
});
