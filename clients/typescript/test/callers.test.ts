// What callers see: signals, callbacks that cannot wait, status, and nothing secret.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenError } from "../src/index.js";
import { bench, errorReply, held, HOUR, settle, tokenReply, unreachable } from "./harness.js";

test("a caller that gives up gets its reason, and the others their token", async () => {
  const { client, provider } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const controller = new AbortController();
  const reason = new Error("tile scrolled away");
  const impatient = assert.rejects(client.getToken({ signal: controller.signal }), reason);
  const patient = client.getToken({ signal: new AbortController().signal });
  controller.abort(reason);
  await impatient;
  assert.equal(provider.calls[0]!.init.signal!.aborted, false);
  await answer.answer(tokenReply("kept"));
  assert.equal(await patient, "kept");
  assert.equal(await client.getToken(), "kept");
});

test("a signal that serves for many calls keeps nothing of those that are over", async () => {
  const { client, provider } = bench();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...call: Parameters<typeof addEventListener>) => (listeners++, addEventListener.apply(signal, call));
  signal.removeEventListener = (...call: Parameters<typeof removeEventListener>) => (listeners--, removeEventListener.apply(signal, call));
  for (const reply of [tokenReply("a"), unreachable]) {
    provider.script.push(reply);
    client.invalidate();
    await client.getToken({ signal }).catch(() => {});
    await settle();
    assert.equal(listeners, 0);
  }
});

test("an error is over with its pause: it says 0 seconds, and never less", async () => {
  const { client, provider, clock } = bench();
  provider.script.push(unreachable);
  await assert.rejects(client.getToken());
  await clock.advance(HOUR);
  assert.equal(client.status().error!.retryAfter, 0);
});

test("a caller that has given up already sends nothing", async () => {
  const { client, provider } = bench();
  for (const call of [client.getToken, client.getBearerToken, client.authHeader]) {
    await assert.rejects(call({ signal: AbortSignal.abort() }), { name: "AbortError" });
  }
  assert.equal(provider.calls.length, 0);
});

test("a request that everybody gave up, and that fails, disturbs nobody", async () => {
  const { client, provider } = bench();
  const answer = held();
  provider.script.push(answer.reply);
  const controller = new AbortController();
  const token = assert.rejects(client.getToken({ signal: controller.signal }), { name: "AbortError" });
  controller.abort();
  await token;
  // An unhandled rejection would fail this test.
  await answer.answer(unreachable);
});

test("peekToken asks behind the caller", async () => {
  const { client, provider } = bench();
  assert.equal(client.peekToken(), undefined);
  assert.equal(client.peekToken(), undefined);
  await settle();
  assert.equal(client.peekToken(), "token-1");
  assert.equal(provider.calls.length, 1);
});

test("status tells what is held and what it cost", async () => {
  const { client, clock, provider } = bench();
  assert.deepEqual(client.status(), {
    state: "none",
    expiresIn: 0,
    lifetime: 0,
    refreshedAt: undefined,
    requests: 0,
    handouts: 0,
    error: undefined,
  });
  const asked = clock.wall;
  await client.getToken();
  await clock.advance(600_000);
  await client.getToken();
  assert.deepEqual(client.status(), {
    state: "fresh",
    expiresIn: 3000,
    lifetime: 3600,
    refreshedAt: asked,
    requests: 1,
    handouts: 2,
    error: undefined,
  });
  provider.otherwise = unreachable;
  await clock.advance(2 * HOUR);
  assert.equal(client.status().state, "expired");
  assert.equal(client.status().expiresIn, 0);
});

test("no token is in an error or a status", async () => {
  const secret = "eyJplanted.token.value";
  const { client, provider, clock } = bench({ headers: { "X-API-Key": "tp_planted" } });
  provider.script.push(tokenReply(secret));
  await client.getToken();
  provider.script.push(tokenReply(`${secret} ${secret}`), errorReply(500, secret), unreachable);
  const seen: unknown[] = [client, client.status()];
  for (let round = 0; round < 3; round++) {
    client.invalidate();
    const error = (await client.getToken().catch((reason: unknown) => reason)) as TokenError;
    assert.ok(error instanceof TokenError);
    seen.push(error, error.stack, String(error), { ...error }, error.cause);
    await clock.advance(60_000);
  }
  const { inspect } = await import("node:util");
  const text = seen.map((thing) => inspect(thing, { depth: 9, showHidden: true }) + JSON.stringify(thing)).join();
  assert.ok(text.includes("invalid_response"));
  assert.equal(text.includes("planted"), false);
});
