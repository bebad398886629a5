// The page's tokens: one client at a time, and figures that survive a change.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { Tokens } = await load("tokens.ts");

/** Answers as a provider does while it `works`; tokens are named after the lifetime asked for. */
function provider(run) {
  const state = { works: true, requests: [], errors: [] };
  const real = globalThis.fetch;
  globalThis.fetch = async (url) => {
    const ttl = new URL(url).searchParams.get("ttl");
    state.requests.push(ttl);
    if (!state.works) return Response.json({ error: "temporarily_unavailable" }, { status: 503 });
    return new Response(`token-${ttl}-${state.requests.length}`, { headers: { "Token-Expires-In": ttl } });
  };
  const events = { onRequest: () => {}, onError: (error) => state.errors.push(error.code) };
  const tokens = new Tokens("http://provider.example/getToken", 300, events);
  return run(tokens, state).finally(() => (globalThis.fetch = real));
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

test("many callers cost one request", () =>
  provider(async (tokens, state) => {
    const all = await Promise.all(Array.from({ length: 20 }, () => tokens.getBearerToken()));
    assert.deepEqual([...new Set(all)], ["token-300-1"]);
    assert.deepEqual([tokens.status().requests, state.requests], [1, ["300"]]);
  }));

test("another lifetime begins with its first token, and the counts go on", () =>
  provider(async (tokens) => {
    await tokens.getBearerToken();
    tokens.setTtl(60);
    assert.equal(await tokens.getBearerToken(), "token-300-1", "nobody waits for it");
    await settled();
    assert.equal(await tokens.getBearerToken(), "token-60-2");
    const { requests, lifetime } = tokens.status();
    assert.deepEqual([tokens.ttl, requests, lifetime], [60, 2, 60]);
  }));

test("while no token of the other lifetime can be had, the held one goes on", () =>
  provider(async (tokens, state) => {
    await tokens.getBearerToken();
    state.works = false;
    tokens.setTtl(60);
    await settled();
    assert.equal(await tokens.getBearerToken(), "token-300-1");
    assert.deepEqual(state.errors, ["temporarily_unavailable"]);
    const { lifetime, error, requests } = tokens.status();
    assert.deepEqual([lifetime, error?.code, requests], [300, "temporarily_unavailable", 2]);
    // Changing one's mind meanwhile loses no count either.
    state.works = true;
    tokens.setTtl(3600);
    await settled();
    assert.equal(await tokens.getBearerToken(), "token-3600-3");
    assert.equal(tokens.status().requests, 3);
  }));

test("while the account is made to fail, all read with a token that outlives it, and go back afterwards", () =>
  provider(async (tokens, state) => {
    await tokens.getBearerToken();
    await tokens.secure(3600);
    assert.equal(await tokens.getBearerToken(), "token-3600-2");
    // A trial is not read with, and another choice is for later.
    tokens.lend(60, false);
    tokens.tryOn();
    tokens.setTtl(900);
    await settled();
    assert.equal(await tokens.getBearerToken(), "token-3600-2");
    assert.deepEqual([state.requests, tokens.status().requests], [["300", "3600", "60"], 3]);
    tokens.release();
    await settled();
    assert.equal(await tokens.getBearerToken(), "token-900-4");
    assert.equal(tokens.status().requests, 4);
  }));

test("without such a token, the held one goes on", () =>
  provider(async (tokens, state) => {
    await tokens.getBearerToken();
    state.works = false;
    await tokens.secure(3600);
    assert.equal(await tokens.getBearerToken(), "token-300-1");
    tokens.release();
  }));

test("a token that a service has refused is told of until one is accepted", () =>
  provider(async (tokens) => {
    tokens.refused(await tokens.getBearerToken());
    assert.equal(tokens.isRefused, true);
    tokens.accepted();
    assert.equal(tokens.isRefused, false);
  }));
