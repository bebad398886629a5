// fetch() and invalidate(): what is sent to data services, and what a 401 from one of them does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenClient, type TokenClientOptions } from "../src/index.js";
import { bench, errorReply, FakeClock, FakeProvider, held, HOUR, settle, tokenReply, unreachable } from "./harness.js";

const DATA = "https://data.example/tiles/1";

interface Sent {
  readonly url: string;
  readonly authorization: string | null;
  readonly body: string;
  readonly method: string;
  readonly type: string | null;
  readonly init: RequestInit | undefined;
}

/** A provider and, behind the same `fetch`, a data service that accepts only some tokens. */
function world(accepts: (token: string) => boolean, options: TokenClientOptions = {}) {
  const clock = new FakeClock();
  const provider = new FakeProvider();
  const sent: Sent[] = [];
  const cancelled: string[] = [];
  const fetch = (async (input: string | URL | Request, init?: RequestInit) => {
    if (input === provider.url) return provider.fetch(input, init);
    // As a real `fetch` reads its arguments, so that a body used up by a first attempt is missed.
    const request = new Request(input, { ...init, ...(init?.body && { duplex: "half" }) } as RequestInit);
    const authorization = request.headers.get("authorization");
    const { url, method } = request;
    sent.push({ url, method, authorization, type: request.headers.get("content-type"), body: await request.text(), init });
    const ok = accepts((authorization ?? "").slice("Bearer ".length));
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(ok ? "data" : "refused"));
        controller.close();
      },
      cancel: () => void cancelled.push(authorization!),
    });
    return new Response(body, { status: ok ? 200 : 401 });
  }) as typeof globalThis.fetch;
  const client = createTokenClient(provider.url, { clock, fetch, allowedOrigins: ["https://data.example"], ...options });
  return { client, provider, clock, sent, cancelled };
}

test("sets Authorization and nothing else", async () => {
  const { client, sent } = world(() => true);
  const controller = new AbortController();
  const init = { method: "PUT", headers: { Accept: "image/png", authorization: "stale" }, body: "x", signal: controller.signal };
  const response = await client.fetch(DATA, init);
  assert.equal(response.status, 200);
  assert.equal(sent[0]!.authorization, "Bearer token-1");
  const { headers, ...rest } = sent[0]!.init!;
  assert.deepEqual(Object.fromEntries(headers as Headers), { accept: "image/png", authorization: "Bearer token-1" });
  assert.deepEqual(rest, { method: "PUT", body: "x", signal: controller.signal });
  assert.equal(init.headers.authorization, "stale", "the caller's own object is left alone");
});

test("takes an address as text, as URL and as Request, and keeps a Request's headers", async () => {
  const { client, sent } = world(() => true);
  await client.fetch(DATA);
  await client.fetch(new URL(DATA));
  await client.fetch(new Request(DATA, { headers: { "X-Mine": "1" } }));
  assert.deepEqual(sent.map(({ url, authorization }) => [url, authorization]), Array(3).fill([DATA, "Bearer token-1"]));
  assert.equal((sent[2]!.init!.headers as Headers).get("x-mine"), "1");
});

test("works without this", async () => {
  const { fetch } = world(() => true).client;
  assert.equal(await (await fetch(DATA)).text(), "data");
});

test("a refused token is replaced and the request sent once more", async () => {
  const { client, provider, sent, cancelled } = world((token) => token === "token-2");
  const response = await client.fetch(DATA);
  assert.equal(response.status, 200);
  assert.deepEqual(sent.map((one) => one.authorization), ["Bearer token-1", "Bearer token-2"]);
  assert.deepEqual(cancelled, ["Bearer token-1"], "the first answer is let go, the second is the caller's");
  assert.equal(provider.calls.length, 2);
  assert.equal(await client.getToken(), "token-2");
});

test("a second 401 is returned", async () => {
  const { client, provider, sent } = world(() => false);
  const response = await client.fetch(DATA);
  assert.equal(response.status, 401);
  assert.equal(sent.length, 2);
  assert.equal(provider.calls.length, 2);
});

test("other answers are returned as they are", async () => {
  const { client, provider } = bench({ allowedOrigins: ["https://data.example"] });
  await client.getToken();
  for (const status of [403, 404, 429, 500]) {
    provider.script.push(errorReply(status));
    assert.equal((await client.fetch(DATA)).status, status);
  }
  assert.equal(provider.calls.length, 5);
});

test("bodies that can be sent twice are, streams are not", async () => {
  const form = new FormData();
  form.set("a", "b");
  const bytes = new TextEncoder().encode("bytes");
  async function* generator() {
    yield bytes;
  }
  const stream = () => new Blob(["stream"]).stream();
  const table: [name: string, body: RequestInit["body"], attempts: number, text: string | RegExp][] = [
    ["string", "text", 2, "text"],
    ["bytes", bytes, 2, "bytes"],
    ["buffer", bytes.buffer, 2, "bytes"],
    ["blob", new Blob(["blob"]), 2, "blob"],
    ["parameters", new URLSearchParams({ a: "b" }), 2, "a=b"],
    ["form", form, 2, /name="a"/],
    ["stream", stream(), 1, "stream"],
    ["generator", generator() as unknown as NonNullable<RequestInit["body"]>, 1, "bytes"],
  ];
  for (const [name, body, attempts, text] of table) {
    const { client, sent } = world((token) => token === "token-2");
    const response = await client.fetch(DATA, { method: "POST", body } as RequestInit);
    assert.equal(sent.length, attempts, name);
    assert.equal(response.status, attempts === 2 ? 200 : 401, name);
    for (const { body: got } of sent) typeof text === "string" ? assert.equal(got, text, name) : assert.match(got, text, name);
    // The token is replaced all the same: the caller's next try gets it.
    assert.equal(await client.getToken(), "token-2", name);
  }
});

test("a stream is known where it cannot be iterated, as in Safari", async () => {
  const { client, provider } = bench({ allowedOrigins: ["https://data.example"] });
  provider.script.push(tokenReply("first"), errorReply(401));
  const body = { getReader() {} } as unknown as ReadableStream;
  assert.equal((await client.fetch(DATA, { method: "POST", body })).status, 401);
  assert.equal(provider.calls.length, 2);
});

test("a Request is sent twice, as ky, axios and openapi-fetch send everything", async () => {
  const form = new FormData();
  form.set("a", "b");
  const large = "x".repeat(2 ** 20);
  const stream = (text: string): RequestInit => ({ body: new Blob([text]).stream(), duplex: "half" }) as RequestInit;
  const table: [name: string, request: RequestInit, init: RequestInit | undefined, attempts: number, text: string | RegExp][] = [
    ["GET", {}, undefined, 2, ""],
    ["HEAD", { method: "HEAD" }, undefined, 2, ""],
    ["DELETE", { method: "DELETE" }, undefined, 2, ""],
    ["empty POST", { method: "POST" }, undefined, 2, ""],
    ["POST", { method: "POST", body: "x" }, undefined, 2, "x"],
    ["form", { method: "PUT", body: form }, undefined, 2, /name="a"/],
    ["short stream", { method: "PATCH", ...stream("s") }, undefined, 2, "s"],
    ["1 MiB", { method: "POST", body: large }, undefined, 2, large],
    ["more", { method: "POST", body: `${large}x` }, undefined, 1, `${large}x`],
    ["body beside the Request's", { method: "POST", body: "x" }, { body: "y" }, 2, "y"],
    ["stream beside the Request's", { method: "POST", body: "x" }, stream("z"), 1, "z"],
  ];
  for (const [name, requestInit, init, attempts, text] of table) {
    const { client, sent } = world((token) => token === "token-2");
    const request = new Request(DATA, { headers: { "X-Mine": "1" }, ...requestInit });
    const response = await client.fetch(request, init);
    assert.equal(sent.length, attempts, name);
    assert.equal(response.status, attempts === 2 ? 200 : 401, name);
    for (const { body, method, type, init } of sent) {
      typeof text === "string" ? assert.ok(body === text, name) : assert.match(body, text, name);
      assert.equal(method, request.method, name);
      assert.equal((init!.headers as Headers).get("x-mine"), "1", name);
      // The boundary of a form is in it.
      assert.equal(type, request.headers.get("content-type"), name);
    }
  }
});

test("of a body that is too long no more is kept than the limit", async () => {
  const { client } = world(() => true);
  let cancelled = false;
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(400_000)),
    cancel: () => void (cancelled = true),
  });
  const request = new Request(DATA, { method: "POST", body: "x" });
  request.clone = () => ({ body: endless }) as unknown as Request;
  assert.equal((await client.fetch(request)).status, 200);
  await settle();
  assert.equal(cancelled, true);
});

test("a Request whose body was used up fails as with the platform's fetch", async () => {
  const { client } = world(() => true);
  const request = new Request(DATA, { method: "POST", body: "x" });
  await request.text();
  await assert.rejects(client.fetch(request), TypeError);
});

test("a Request's body that fails while it is read is the first attempt's to tell", async () => {
  const { client } = world(() => true);
  const failing = () => new ReadableStream({ pull: (controller) => controller.error(new Error("disk")) });
  await assert.rejects(client.fetch(new Request(DATA, { method: "POST", body: failing(), duplex: "half" } as RequestInit)));
  // An unhandled rejection would fail this test.
  await settle();
});

test("where Request has no body property, as in Firefox, its body is sent twice all the same", async () => {
  const { body } = Object.getOwnPropertyDescriptors(Request.prototype);
  Reflect.deleteProperty(Request.prototype, "body");
  try {
    for (const [given, expected] of [[{ method: "POST", body: "twice" }, "twice"], [{ method: "DELETE" }, undefined]] as const) {
      const seen: [input: string, again: string | undefined][] = [];
      const provider = new FakeProvider();
      const { fetch } = createTokenClient(provider.url, {
        allowedOrigins: ["https://data.example"],
        fetch: async (input, init = {}) => {
          if (input === provider.url) return provider.fetch(input, init);
          // No body, rather than an empty one.
          seen.push([await (input as Request).text().catch(() => "used"), "body" in init ? await (init.body as Blob).text() : undefined]);
          return new Response("", { status: seen.length === 1 ? 401 : 200 });
        },
      });
      assert.equal((await fetch(new Request(DATA, given))).status, 200);
      assert.deepEqual(seen.map(([, again]) => again), [undefined, expected]);
      assert.equal(seen[0]![0], expected ?? "");
    }
  } finally {
    Object.defineProperty(Request.prototype, "body", body);
  }
});

test("a hundred refused tiles cost one token request", async () => {
  const { client, provider, sent } = world((token) => token === "token-2");
  await client.getToken();
  const responses = await Promise.all(Array.from({ length: 100 }, (_, tile) => client.fetch(`${DATA}${tile}`)));
  assert.ok(responses.every((response) => response.status === 200));
  assert.equal(sent.length, 200);
  assert.equal(provider.calls.length, 2);
});

test("a service that refuses every token costs one token request in ten seconds", async () => {
  const { client, provider, clock } = world(() => false);
  for (let second = 0; second < 60; second++) {
    for (let tile = 0; tile < 10; tile++) assert.equal((await client.fetch(DATA)).status, 401);
    await clock.advance(1000);
  }
  assert.equal(provider.calls.length, 1 + 6);
});

test("the same token again is not sent again", async () => {
  const { client, provider, sent } = world(() => false);
  provider.otherwise = tokenReply("the-only-one");
  assert.equal((await client.fetch(DATA)).status, 401);
  assert.equal(sent.length, 1);
  assert.equal(provider.calls.length, 2);
});

/** HERE, which accepts only some tokens, and a provider that has its next token `successorMs` after it was told of the last. */
function here(accepts: (token: string) => boolean, { status = 401, successorMs = 200, ...options }: TokenClientOptions & { status?: number; successorMs?: number } = {}) {
  const clock = new FakeClock();
  const told: { url: string; method: string | undefined; body: string; headers: Headers; redirect: string | undefined }[] = [];
  const asked: string[] = [];
  let report: () => Response | Promise<Response> = () => new Response("");
  let number = 1;
  const fetch = (async (input: string, init: RequestInit = {}) => {
    if (!input.startsWith("https://tokens.example/")) {
      const token = new Headers(init.headers).get("authorization")!.slice("Bearer ".length);
      return new Response("", { status: accepts(token) ? 200 : status });
    }
    if (init.method !== "POST") {
      asked.push(`token-${number}`);
      return tokenReply(`token-${number}`)({} as never);
    }
    told.push({ url: input, method: init.method, body: String(init.body), headers: new Headers(init.headers), redirect: init.redirect });
    if (told.length === 1 && successorMs) clock.setTimeout(() => number++, successorMs);
    else if (told.length === 1) number++;
    return report();
  }) as typeof globalThis.fetch;
  const client = createTokenClient("https://tokens.example/tp/getToken", { ttl: 600, clock, fetch, ...options });
  return { client, clock, told, asked, reports: (reply: typeof report) => (report = reply) };
}
const TILE = "https://vector.hereapi.com/tiles/1";
const isSuccessor = (token: string): boolean => token !== "token-1";

/** What a call came to, after a time that passes meanwhile. */
async function after<T>(clock: FakeClock, milliseconds: number, call: Promise<T>): Promise<T> {
  await settle();
  await clock.advance(milliseconds);
  return call;
}

test("a token that HERE refused is reported once, and the request sent with its successor", async () => {
  const { client, clock, told, asked } = here(isSuccessor, { headers: { "X-API-Key": "key", "Content-Type": "application/json" } });
  const tiles = Promise.all(Array.from({ length: 100 }, (_, tile) => client.fetch(`${TILE}${tile}`)));
  assert.ok((await after(clock, 250, tiles)).every(({ status }) => status === 200));
  assert.deepEqual(told.map(({ url, method, body, redirect }) => [url, method, body, redirect]), [
    ["https://tokens.example/tp/oauth2/revoke", "POST", "token=token-1", "manual"],
  ]);
  assert.equal(told[0]!.headers.get("x-api-key"), "key");
  assert.equal(told[0]!.headers.get("content-type"), "application/x-www-form-urlencoded", "whatever the caller's is");
  assert.deepEqual(asked, ["token-1", "token-1", "token-2"], "again after a pause in which HERE has answered");
  assert.equal(await client.getToken(), "token-2");
});

test("of one token there is one report, however often it is refused", async () => {
  const { client, clock, told } = here(() => false, { successorMs: Infinity });
  for (let minute = 0; minute < 5; minute++) {
    assert.equal((await after(clock, 60_000, client.fetch(TILE))).status, 401);
    assert.equal(await client.getToken(), "token-1");
  }
  assert.equal(told.length, 1);
});

test("the provider is given two and a half seconds to replace a token, and no longer", async () => {
  for (const [successorMs, status, requests] of [[0, 200, 2], [240, 200, 3], [990, 200, 4], [2490, 200, 5], [2600, 401, 5]] as const) {
    const { client, clock, asked } = here(isSuccessor, { successorMs });
    assert.equal((await after(clock, 2500, client.fetch(TILE))).status, status, `${successorMs}`);
    assert.equal(asked.length, requests, `${successorMs}`);
  }
});

test("only a 401 of one of HERE's services is reported", async () => {
  const table: [url: string, status: number, allowedOrigins: string[] | undefined, reports: number][] = [
    [TILE, 401, undefined, 1],
    ["https://config.data.api.platform.here.com/config/v1/catalogs", 401, undefined, 1],
    [TILE, 401, ["https://*.hereapi.com"], 1],
    [TILE, 403, undefined, 0],
    [TILE, 429, undefined, 0],
    ["http://localhost:8080/hello", 401, undefined, 0],
    ["https://[::1]/hello", 401, undefined, 0],
    [DATA, 401, ["https://data.example"], 0],
    ["https://here.com.evil.example/", 401, ["https://*.evil.example"], 0],
    ["https://where.com/", 401, ["https://where.com"], 0],
  ];
  for (const [url, status, allowedOrigins, reports] of table) {
    const { client, clock, told } = here(() => false, { status, allowedOrigins });
    assert.equal((await after(clock, 3000, client.fetch(url))).status, status, url);
    assert.equal(told.length, reports, url);
  }
});

test("a 401 of where HERE has led a request is not reported: the token did not go along", async () => {
  const { client, clock, told } = here(() => true, {
    fetch: (async (input: string, init?: RequestInit) => {
      if (init?.method === "POST") assert.fail("is reported");
      if (input.startsWith("https://tokens.example/")) return tokenReply("token-1")({} as never);
      return Object.defineProperty(new Response("", { status: 401 }), "url", { value: "https://elsewhere.example/" });
    }) as typeof globalThis.fetch,
  });
  assert.equal((await after(clock, 3000, client.fetch(TILE))).status, 401);
  assert.equal(told.length, 0);
});

test("invalidate(token) reports nothing: who refused it is not known here", async () => {
  const { client, clock, told } = here(() => true);
  client.invalidate(await client.getToken());
  await after(clock, 3000, client.getToken());
  assert.equal(told.length, 0);
});

test("a report that fails changes nothing for the page", async () => {
  const replies: [name: string, reply: () => Response | Promise<Response>, waitMs: number][] = [
    ["no such path", () => new Response("", { status: 404 }), 0],
    ["over the rate", () => new Response("{}", { status: 429, headers: { "Retry-After": "60" } }), 0],
    ["no answer", () => Promise.reject(new TypeError("fetch failed")), 0],
    ["a redirect", () => Response.error(), 0],
    ["somebody's page", () => new Response("<html>"), 0],
    ["nothing for too long", () => new Promise(() => {}), 2500],
    ["no body", () => new Response(new ReadableStream({ start: (controller) => controller.error(new Error("reset")) })), 0],
  ];
  for (const [name, reply, waitMs] of replies) {
    const errors: unknown[] = [];
    const { client, clock, told, asked, reports } = here(() => false, { successorMs: Infinity, onError: (error) => errors.push(error) });
    reports(reply);
    assert.equal((await after(clock, waitMs, client.fetch(TILE))).status, 401, name);
    assert.deepEqual([told.length, asked.length, errors], [1, 2, []], name);
    assert.equal(await client.getToken(), "token-1", name);
    assert.equal(client.status().error, undefined, name);
  }
});

test("a token that is refused while another is on its way is reported unless that one comes", async () => {
  for (const [arriving, reports] of [["token-1", 1], ["token-2", 0]] as const) {
    const told: string[] = [];
    const late = held();
    const replies = [tokenReply("token-1"), late.reply];
    const clock = new FakeClock();
    const { fetch, getToken, peekToken } = createTokenClient("https://tokens.example/getToken", {
      clock,
      fetch: (async (input: string, init: RequestInit = {}) => {
        if (input === TILE) return new Response("", { status: 401 });
        if (init.method === "POST") return told.push(String(init.body)), new Response("");
        return (replies.shift() ?? tokenReply("token-3"))({} as never);
      }) as typeof globalThis.fetch,
    });
    await getToken();
    clock.wall += 0.8 * HOUR;
    peekToken();
    await settle();
    const tile = fetch(TILE);
    await settle();
    await late.answer(tokenReply(arriving));
    await after(clock, 3000, tile);
    assert.deepEqual(told, Array(reports).fill("token=token-1"), arriving);
  }
});

test("a 401 while the provider is away is returned, and the token kept for other services", async () => {
  const { client, provider, clock } = world(() => false);
  await client.getToken();
  provider.otherwise = unreachable;
  const response = await client.fetch(DATA);
  assert.equal(response.status, 401);
  assert.equal(await response.text(), "refused");
  assert.equal(await client.getToken(), "token-1");
  assert.equal(client.status().state, "due");
  // Asked again after the pause, and the refused token replaced.
  provider.otherwise = tokenReply("new");
  await clock.advance(2000);
  assert.equal(await client.getToken(), "new");
});

test("without a token nothing is sent", async () => {
  const { client, provider, sent } = world(() => true);
  provider.otherwise = errorReply(403, { error: "access_denied" });
  await assert.rejects(client.fetch(DATA), { code: "access_denied" });
  assert.equal(sent.length, 0);
});

test("a caller's signal ends the wait for the token", async () => {
  const { client, provider, sent } = world(() => true);
  provider.script.push(() => new Promise(() => {}));
  const controller = new AbortController();
  const one = assert.rejects(client.fetch(DATA, { signal: controller.signal }), { name: "AbortError" });
  const other = assert.rejects(client.fetch(new Request(DATA, { signal: controller.signal })), { name: "AbortError" });
  controller.abort();
  await Promise.all([one, other]);
  assert.equal(sent.length, 0);
});

test("a caller's signal ends the wait for another token after a 401", async () => {
  const { client, provider } = world(() => false);
  await client.getToken();
  provider.script.push(() => new Promise(() => {}));
  const controller = new AbortController();
  const response = assert.rejects(client.fetch(DATA, { signal: controller.signal }), { name: "AbortError" });
  await settle();
  controller.abort();
  await response;
});

test("the token goes to allowed origins only", async () => {
  const allowedOrigins = ["https://data.example", "https://*.hereapi.com", "https://a.example:8443/some/path", "https://*.b.example:444"];
  const table: [url: string, allowed: boolean][] = [
    [DATA, true],
    ["https://data.example:443/x", true],
    ["http://data.example/x", false],
    ["https://data.example:444/x", false],
    ["https://data.example.evil.example/x", false],
    ["https://xdata.example/x", false],
    ["https://data.example@evil.example/x", false],
    ["https://vector.hereapi.com/x", true],
    ["https://a.b.hereapi.com/x", true],
    ["https://hereapi.com/x", false],
    ["https://evilhereapi.com/x", false],
    ["https://evil.example/.hereapi.com", false],
    ["https://evil.example/?https://data.example", false],
    ["http://vector.hereapi.com/x", false],
    ["https://vector.hereapi.com:8443/x", false],
    ["https://a.example:8443/other", true],
    ["https://a.example/other", false],
    ["https://x.b.example:444/", true],
    ["https://x.b.example/", false],
    ["data:text/plain,x", false],
  ];
  for (const [url, allowed] of table) {
    for (const input of [url, new URL(url), { url, headers: {}, method: "GET" } as unknown as Request]) {
      const { client, provider } = bench({ allowedOrigins });
      const outcome = await client.fetch(input).then(
        () => true,
        (error: { code?: string }) => {
          assert.equal(error.code, "origin_not_allowed");
          return false;
        },
      );
      assert.equal(outcome, allowed, url);
      assert.equal(provider.calls.length, allowed ? 2 : 0, url);
    }
  }
});

test("without allowedOrigins the token goes to HERE and to this machine only", async () => {
  const table: [url: string, allowed: boolean][] = [
    ["https://maps.hereapi.com/v3/copyright", true],
    ["https://config.data.api.platform.here.com/config/v1/catalogs", true],
    ["http://localhost:8080/hello", true],
    ["http://127.0.0.1:8080/hello", true],
    ["http://127.9.0.1/", true],
    ["http://[::1]:8080/hello", true],
    ["https://localhost/", true],
    ["http://tracker.example/pixel.gif", false],
    ["https://tracker.example/pixel.gif", false],
    ["http://maps.hereapi.com/v3/copyright", false],
    ["https://maps.hereapi.com.evil.example/", false],
    ["https://where.com/", false],
    ["http://localhost.evil.example/", false],
    ["http://127.0.0.1.evil.example/", false],
    ["http://localhost@evil.example/", false],
    ["ftp://localhost/", false],
    ["file:///etc/hosts", false],
  ];
  for (const [url, allowed] of table) {
    const { client, provider } = bench();
    const call = client.fetch(url);
    if (allowed) await call;
    else await assert.rejects(call, { code: "origin_not_allowed", message: /allowedOrigins .*nothing was sent/ }, url);
    assert.equal(provider.calls.length, allowed ? 2 : 0, url);
  }
});

test("plain http can be allowed on loopback alone", async () => {
  for (const origin of ["http://data.example", "http://*.hereapi.com", "http://127.0.0.1.evil.example", "ftp://localhost"]) {
    assert.throws(() => createTokenClient("https://a.example/", { allowedOrigins: [origin] }), TypeError, origin);
  }
  const { client } = bench({ allowedOrigins: ["http://localhost:8080"] });
  assert.equal((await client.fetch("http://localhost:8080/")).status, 200);
  await assert.rejects(client.fetch("http://localhost:8081/"), { code: "origin_not_allowed" });
});

test("a rule that could match nothing, or too much, is refused at once", () => {
  const table: [rule: string, message: RegExp][] = [
    ...["https://data*.example", "https://*", "https://data.*.example", "https://*.*.example", "https://*data.example", "https://data.example/*"].map(
      (rule): [string, RegExp] => [rule, /has a star in a place other than the beginning/],
    ),
    ...["https://*.com", "https://*.com.", "https://*.localhost", "http://*.localhost", "https://*.127.0.0.1", "https://*.10.0.0.1:8443", "https://*.[::1]"].map(
      (rule): [string, RegExp] => [rule, /does not name a domain that can have subdomains/],
    ),
    ...["data.example", "*.hereapi.com", "", "https://data.example:port", "https://*.example.com:*"].map((rule): [string, RegExp] => [rule, /no origin such as|star/]),
  ];
  for (const [rule, message] of table) {
    assert.throws(() => createTokenClient("https://a.example/", { allowedOrigins: [rule] }), { name: "TypeError", message }, rule);
  }
});

test("invalidate with a token that is no longer held does nothing", async () => {
  const { client, provider } = bench();
  await client.getToken();
  client.invalidate("another");
  await client.getToken();
  assert.equal(provider.calls.length, 1);
});

test("invalidate with the held token makes the next call ask", async () => {
  const { client, provider } = bench();
  client.invalidate(await client.getToken());
  assert.equal(client.status().state, "due");
  assert.equal(await client.getToken(), "token-2");
  assert.equal(provider.calls.length, 2);
});

test("invalidate takes the value of an Authorization header, too", async () => {
  for (const scheme of ["Bearer ", "bearer  "]) {
    const { client, provider } = bench();
    const header = await client.authHeader();
    client.invalidate(header.replace("Bearer ", scheme));
    assert.equal(client.status().state, "due");
    assert.equal(await client.authHeader(), "Bearer token-2");
    assert.equal(provider.calls.length, 2);
  }
});

test("invalidate without argument drops the token", async () => {
  const { client, provider } = bench();
  await client.getToken();
  client.invalidate();
  assert.equal(client.status().state, "none");
  assert.equal(client.peekToken(), undefined);
  provider.otherwise = unreachable;
  await settle();
  client.invalidate();
  await assert.rejects(client.getToken(), { code: "request_failed" });
});

test("invalidate without argument drops the token of a request under way, too", async () => {
  const { client, provider } = bench();
  const first = held();
  provider.script.push(first.reply);
  const waiting = client.getToken();
  await settle();
  client.invalidate();
  const asksLater = client.getToken();
  await first.answer(tokenReply("asked-for-before"));
  assert.equal(await waiting, "token-2");
  assert.equal(await asksLater, "token-2");
  assert.equal(client.peekToken(), "token-2");
  assert.equal(provider.calls.length, 2, "one after the other");

  // A failure is one all the same, with its pause.
  client.invalidate();
  const second = held();
  provider.script.push(second.reply);
  const failing = assert.rejects(client.getToken(), { code: "request_failed" });
  await settle();
  client.invalidate();
  await second.answer(unreachable);
  await failing;
  await assert.rejects(client.getToken(), { code: "request_failed" });
  assert.equal(provider.calls.length, 3);
});

test("a refused token is not used past its expiry", async () => {
  const { client, provider, clock } = bench();
  const token = await client.getToken();
  provider.otherwise = unreachable;
  client.invalidate(token);
  assert.equal(await client.getToken(), token);
  await clock.advance(HOUR);
  await assert.rejects(client.getToken(), { code: "request_failed" });
});
