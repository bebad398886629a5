// What is sent to the provider, and how its answers are read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenClient, TokenError } from "../src/index.js";
import { lifetimeS, retryAfterMs } from "../src/schedule.js";
import { bench, errorReply, FakeProvider, held, HOUR, settle, tokenReply, unreachable, withPage } from "./harness.js";

const failureOf = async (promise: Promise<unknown>): Promise<TokenError> => {
  const error = await promise.then(
    () => assert.fail("expected a failure"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TokenError, String(error));
  return error;
};

test("asks for lifetime, profile and scope, and keeps what the address already says", async () => {
  const provider = new FakeProvider();
  const scope = "hrn:here:authorization::realm:project/p1";
  const client = createTokenClient(new URL("https://tokens.example/t?tenant=a&ttl=1"), {
    ttl: 900,
    profile: "maps",
    scope,
    fetch: provider.fetch,
  });
  await client.getToken();
  const { searchParams, origin, pathname } = new URL(provider.calls[0]!.url);
  assert.equal(origin + pathname, "https://tokens.example/t");
  assert.deepEqual([...searchParams], [["tenant", "a"], ["ttl", "900"], ["profile", "maps"], ["scope", scope]]);
});

test("leaves out what was not given", async () => {
  const { client, provider } = bench();
  await client.getToken();
  assert.equal(provider.calls[0]!.url, "https://tokens.example/getToken");
  assert.equal("credentials" in provider.calls[0]!.init, false);
  // Nothing that a `fetch` outside a browser may refuse, as Cloudflare Workers did with `cache`.
  assert.deepEqual(Object.keys(provider.calls[0]!.init).sort(), ["headers", "redirect", "signal"]);
  assert.equal(provider.calls[0]!.init.redirect, "manual");
});

test("sends the given headers and credentials", async () => {
  const { client, provider } = bench({ headers: { "X-API-Key": "tp_key" }, credentials: "include" });
  await client.getToken();
  assert.equal(provider.calls[0]!.headers.get("x-api-key"), "tp_key");
  assert.equal(provider.calls[0]!.init.credentials, "include");
});

test("calls a headers function for each request", async () => {
  let calls = 0;
  const { client, provider } = bench({ headers: async () => ({ Authorization: `Bearer id-${++calls}` }) });
  await client.getToken();
  client.invalidate();
  await client.getToken();
  assert.deepEqual(
    provider.calls.map((call) => call.headers.get("authorization")),
    ["Bearer id-1", "Bearer id-2"],
  );
});

test("malformed arguments are refused at once", () => {
  const table: [options: object, message: RegExp][] = [
    ...[0, -1, 59, 60.5, 86_401, NaN, Infinity, "3600", null].map((ttl): [object, RegExp] => [{ ttl }, /^ttl must be .* from 60 to 86400, not (?!.*milli)/]),
    ...[NaN, 0, -1, "5", null].flatMap((number): [object, RegExp][] => [
      [{ timeoutMs: number }, /^timeoutMs must be a number above 0, not /],
      [{ fallbackLifetime: number }, /^fallbackLifetime must be a number above 0/],
    ]),
    [{ headers: { "X-API-Key": "tp\nplanted" } }, /^`headers` has a name or value that no HTTP header can have$/],
    [{ allowedOrigins: ["data.example"] }, /^allowedOrigins: data.example is no origin such as /],
  ];
  for (const [options, message] of table) {
    assert.throws(() => createTokenClient("https://a.example/", options), { name: "TypeError", message }, JSON.stringify(options));
  }
  for (const ttl of [60, 3600, 86_400]) createTokenClient("https://a.example/", { ttl });
});

test("a lifetime in milliseconds is told to be one", () => {
  for (const [ttl, seconds] of [[90_000, 90], [3_600_000, 3600], [86_400_000, 86_400]]) {
    assert.throws(() => createTokenClient("/getToken", { ttl: ttl! }), { message: new RegExp(`looks like milliseconds, write ${seconds}$`) });
  }
  for (const ttl of [90_001, 86_401_000]) assert.throws(() => createTokenClient("/getToken", { ttl }), { message: /, not \d+$/ });
});

test("an address that no request can go to is refused at once", () => {
  for (const url of ["localhost:3000/getToken", "ftp://a.example/", "file:///getToken", "data:,token"]) {
    assert.throws(() => createTokenClient(url), { name: "TypeError", message: /is no http or https address; is http:\/\/ missing\?/ }, url);
  }
  assert.throws(() => createTokenClient("http://"), TypeError);
});

test("a module that a server renders, too, can make its client: the page is asked when the token is", async () => {
  const { client, provider } = bench({}, "/getToken");
  const error = await failureOf(client.getToken());
  assert.equal(error.code, "request_failed");
  assert.match(error.message, /^\/getToken is relative, and there is no page here .* give the whole address$/);
  assert.deepEqual([client.status().requests, error.retryAfter], [0, 0]);
  await withPage({ location: { href: "https://maps.example/a/b.html" } }, async () => {
    assert.equal(await client.getToken(), "token-1");
  });
  assert.equal(provider.calls[0]!.url, "https://maps.example/getToken");
});

test("a relative address is taken from the page's, and its <base> counts", async () => {
  const { client, provider } = bench({ allowedOrigins: ["https://based.example"] }, "getToken");
  const page = { location: { href: "https://maps.example/a/b.html" }, document: { baseURI: "https://based.example/c/d.html" } };
  await withPage(page, async () => {
    await client.getToken();
    await client.fetch("/tile");
  });
  assert.deepEqual(provider.calls.map((call) => call.url), ["https://based.example/c/getToken", "/tile"]);
});

test("the global fetch is looked up at each call, and called without this", async () => {
  const provider = new FakeProvider();
  const original = globalThis.fetch;
  const client = createTokenClient("https://tokens.example/getToken");
  globalThis.fetch = function (this: unknown, ...call: Parameters<typeof fetch>) {
    assert.ok(this === undefined || this === globalThis);
    return provider.fetch(...call);
  };
  try {
    assert.equal(await client.getToken(), "token-1");
  } finally {
    globalThis.fetch = original;
  }
});

test("white space round the token is not part of it", async () => {
  const { client, provider } = bench();
  provider.script.push(tokenReply("eyJh.b-c_d~e+f/g==\r\n"));
  assert.equal(await client.getToken(), "eyJh.b-c_d~e+f/g==");
});

test("an answer that is no token is refused and not shown", async () => {
  for (const body of ["<!doctype html><p>Log in please", "", "two words", '{"access_token":"a"}', "a\nb"]) {
    const { client, provider } = bench();
    provider.script.push(tokenReply(body));
    const error = await failureOf(client.getToken());
    assert.equal(error.code, "invalid_response");
    assert.equal(error.status, 200);
    assert.equal(error.message, "the answer of the token provider is not a token");
  }
});

test("an error answer gives code, status, request id and description", async () => {
  const { client, provider } = bench();
  const body = { error: "access_denied", error_description: "origin https://x.example is not allowed", request_id: "r-1" };
  provider.script.push(errorReply(403, body));
  const error = await failureOf(client.getToken());
  assert.equal(error.name, "TokenError");
  assert.equal(error.code, "access_denied");
  assert.equal(error.status, 403);
  assert.equal(error.requestId, "r-1");
  assert.equal(error.message, "the token provider answered 403 access_denied: origin https://x.example is not allowed");
  assert.equal(error.retryAfter, 1);
});

test("an error answer from something else gives its status", async () => {
  for (const body of ["<h1>502 Bad Gateway</h1>", "", "null", "[]", '"text"', '{"error":7,"request_id":{}}', '{"error":""}']) {
    const { client, provider } = bench();
    provider.script.push(errorReply(502, body, { "X-Request-ID": "from-header" }));
    const error = await failureOf(client.getToken());
    assert.equal(error.code, "http_error", body);
    assert.equal(error.status, 502);
    assert.equal(error.requestId, "from-header");
    assert.equal(error.message, "the token provider answered 502");
  }
});

test("a redirect is not followed", async () => {
  const { client, provider } = bench();
  provider.script.push(() => Response.redirect("https://login.example/", 302));
  assert.equal((await failureOf(client.getToken())).code, "http_error");
  const inBrowser = bench();
  // What a browser shows of a redirect that it was told not to follow.
  inBrowser.provider.script.push(() => Response.error());
  const error = await failureOf(inBrowser.client.getToken());
  assert.equal(error.status, 0);
  assert.equal(error.message, "the token provider answered with a redirect");
});

test("an unreachable provider is told with its address and cause", async () => {
  const { client, provider } = bench({ scope: "hrn:secret-project" });
  provider.script.push(unreachable);
  const error = await failureOf(client.getToken());
  assert.equal(error.code, "request_failed");
  assert.equal(error.message, "no answer from https://tokens.example/getToken: it is down, or cannot be reached from here");
  assert.equal(error.status, undefined);
  assert.ok(error.cause instanceof TypeError);
});

test("a page without an answer is told what a browser hides", async () => {
  const secure = "https://tokens.example/getToken";
  const table: [page: string, url: string, message: RegExp][] = [
    ["https://maps.example", secure, /^no answer from https:\/\/tokens.example\/getToken: it is down, or does not let pages of https:\/\/maps.example ask \(CORS\)$/],
    ["https://maps.example", "http://tokens.example/getToken", /pages of https:\/\/maps.example ask \(CORS\), or .*\(mixed content\)$/],
    ["http://localhost:5173", "http://localhost:3000/getToken", /pages of http:\/\/localhost:5173 ask \(CORS\)$/],
    ["https://tokens.example", secure, /it is down, or cannot be reached from here$/],
  ];
  for (const [origin, url, message] of table) {
    const { client, provider } = bench({}, url);
    provider.script.push(unreachable);
    await withPage({ location: { href: `${origin}/`, origin } }, async () => {
      assert.match((await failureOf(client.getToken())).message, message);
    });
  }
});

test("a headers function that throws is told with its cause, and asked again once somebody has signed in", async () => {
  const cause = new Error("not logged in");
  let signedIn = false;
  const headers = () => (signedIn ? { Authorization: "Bearer id" } : Promise.reject(cause));
  const { client, provider } = bench({ headers });
  for (let attempt = 0; attempt < 9; attempt++) {
    const error = await failureOf(client.getToken());
    assert.equal(error.code, "request_failed");
    assert.equal(error.message, "`headers` threw an error, see `cause`");
    assert.equal(error.cause, cause);
    assert.equal(error.retryAfter, 0);
  }
  assert.equal(provider.calls.length, 0);
  assert.equal(client.status().requests, 0);
  signedIn = true;
  assert.equal(await client.getToken(), "token-1");

  // With a token in hand, the function is not called for every caller, and its failures make no long pause.
  signedIn = false;
  let calls = 0;
  const held = bench({ headers: () => (calls++, headers()) });
  signedIn = true;
  await held.client.getToken();
  signedIn = false;
  held.clock.timersFire = false;
  await held.clock.advance(0.7 * HOUR);
  for (let round = 0; round < 9; round++) {
    for (let tile = 0; tile < 10; tile++) assert.equal(await held.client.getToken(), "token-1");
    await held.clock.advance(1000);
  }
  assert.equal(calls, 1 + 9);
});

test("headers that are none are told without their value", async () => {
  const { client, provider } = bench({ headers: () => ({ "X-API-Key": "tp_planted\u20ac" }) });
  const error = await failureOf(client.getToken());
  assert.equal(error.message, "`headers` has a name or value that no HTTP header can have");
  assert.equal(error.cause, undefined);
  assert.equal(provider.calls.length, 0);
});

test("a headers function that takes too long is told as such, and what it brings is not sent", async () => {
  let answer!: (headers: object) => void;
  const { client, provider, clock } = bench({ headers: () => new Promise<HeadersInit>((resolve) => (answer = resolve as typeof answer)) });
  const failed = failureOf(client.getToken());
  await clock.advance(15_000);
  const error = await failed;
  assert.deepEqual([error.code, error.message], ["timeout", "`headers` took longer than 15000 ms"]);
  answer({});
  await settle();
  assert.equal(provider.calls.length, 0);
});

test("a time limit that no timer can have is one all the same", async () => {
  for (const timeoutMs of [Infinity, 2 ** 31, 1e12]) {
    let delay = 0;
    const { client, clock } = bench({ timeoutMs });
    const { setTimeout } = clock;
    clock.setTimeout = (run, milliseconds) => {
      delay ||= milliseconds;
      return setTimeout.call(clock, run, milliseconds);
    };
    assert.equal(await client.getToken(), "token-1");
    assert.equal(delay, 2 ** 31 - 1);
  }
});

test("an attempt ends after its time, and its signal is aborted", async () => {
  const { client, provider, clock } = bench({ timeoutMs: 2000 });
  provider.script.push(held().reply);
  const failed = failureOf(client.getToken());
  await clock.advance(1999);
  assert.equal(provider.calls[0]!.init.signal!.aborted, false);
  await clock.advance(1);
  const error = await failed;
  assert.equal(error.code, "timeout");
  assert.equal(error.message, "the token provider did not answer within 2000 ms");
  assert.equal(provider.calls[0]!.init.signal!.aborted, true);
});

test("the time limit covers the body", async () => {
  const { client, provider, clock } = bench();
  provider.script.push(() => new Response(new ReadableStream({}), { headers: { "Token-Expires-In": "3600" } }));
  const failed = failureOf(client.getToken());
  await clock.advance(15_000);
  assert.equal((await failed).code, "timeout");
});

test("no timer is left behind by an answer", async () => {
  const { client, provider, clock } = bench();
  provider.script.push(errorReply(503));
  await failureOf(client.getToken());
  assert.equal(clock.pending, 0);
});

test("Retry-After is read strictly", () => {
  const now = Date.UTC(2026, 0, 15, 12);
  const table: [value: string | null, date: string | null, milliseconds: number][] = [
    [null, null, 0],
    ["0", null, 0],
    ["7", null, 7000],
    ["3600", null, 3_600_000],
    ["999999999999", null, 3_600_000],
    ["-5", null, 0],
    ["1.5", null, 0],
    ["1e3", null, 0],
    ["5 s", null, 0],
    ["5, 6", null, 0],
    ["Infinity", null, 0],
    ["Thu, 15 Jan 2026 12:00:30 GMT", null, 30_000],
    ["Thu, 15 Jan 2026 11:00:00 GMT", null, 0],
    // By the server's own clock, where it says the time: ours is half an hour off here.
    ["Thu, 15 Jan 2026 12:30:30 GMT", "Thu, 15 Jan 2026 12:30:00 GMT", 30_000],
    ["Thu, 15 Jan 2026 12:00:30 GMT", "nonsense", 30_000],
    // Wrong weekday, a day that does not exist, other formats, local time.
    ["Fri, 15 Jan 2026 12:00:30 GMT", null, 0],
    ["Sat, 31 Feb 2026 12:00:30 GMT", null, 0],
    ["2026-01-15T12:00:30Z", null, 0],
    ["Thu Jan 15 12:00:30 2026", null, 0],
    ["Thu, 15 Jan 2026 12:00:30", null, 0],
    ["soon", null, 0],
  ];
  for (const [value, date, expected] of table) {
    const headers = new Headers();
    if (value !== null) headers.set("Retry-After", value);
    if (date !== null) headers.set("Date", date);
    assert.equal(retryAfterMs(headers, now), expected, `${value} ${date}`);
  }
});

test("Token-Expires-In is read strictly", () => {
  const table: [value: string | null, seconds: number][] = [
    ["3599", 3599],
    ["0", 0],
    ["86400", 86_400],
    ["100000", 86_400],
    [null, 42],
    ["", 42],
    ["-1", 42],
    ["12.5", 42],
    ["1e9", 42],
    ["60, 60", 42],
  ];
  for (const [value, expected] of table) {
    assert.equal(lifetimeS(new Headers(value === null ? {} : { "Token-Expires-In": value }), 42), expected, String(value));
  }
});

test("a token without lifetime is used for a quarter of what was asked for, at most a minute", async () => {
  const table: [options: { ttl?: number; fallbackLifetime?: number }, seconds: number][] = [
    [{}, 60],
    [{ ttl: 60 }, 15],
    [{ ttl: 3600 }, 60],
    [{ ttl: 60, fallbackLifetime: 300 }, 300],
  ];
  for (const [options, expected] of table) {
    const { client, provider } = bench(options);
    provider.script.push(tokenReply("bare", null));
    await client.getToken();
    await settle();
    assert.equal(client.status().expiresIn, expected, JSON.stringify(options));
  }
});
