// The built package, imported by its name as users do, against real HTTP servers on loopback.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { createTokenClient, TokenError } from "token-provider-client";

interface Seen {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server on a free port, closed when the tests are over; remembers what it was asked. */
async function serve(answer: (seen: Seen, response: ServerResponse) => void): Promise<{ origin: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const one = { path: request.url!, headers: request.headers, body };
    seen.push(one);
    answer(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** A token provider whose tokens are `token-1`, `token-2`, …, a new one each time it is told to rotate. */
async function serveTokens() {
  const state = { current: 1 };
  const server = await serve((_seen, response) => {
    response.setHeader("Token-Expires-In", "3600").setHeader("Content-Type", "text/plain; charset=utf-8").end(`token-${state.current}`);
  });
  return { ...server, state, url: `${server.origin}/getToken` };
}

test("many data requests cost one token request", async () => {
  const provider = await serveTokens();
  const data = await serve((seen, response) => response.end(seen.headers.authorization));
  const client = createTokenClient(provider.url, { ttl: 3600 });
  const bodies = await Promise.all(Array.from({ length: 200 }, async (_, tile) => (await client.fetch(`${data.origin}/${tile}`)).text()));
  assert.deepEqual(new Set(bodies), new Set(["Bearer token-1"]));
  assert.deepEqual(provider.seen.map((one) => one.path), ["/getToken?ttl=3600"]);
  const { requests, handouts, state, lifetime } = client.status();
  assert.deepEqual({ requests, handouts, state, lifetime }, { requests: 1, handouts: 200, state: "fresh", lifetime: 3600 });
});

test("a refused token is replaced, and the body sent again", async () => {
  const provider = await serveTokens();
  const data = await serve((seen, response) => {
    response.writeHead(seen.headers.authorization === `Bearer token-${provider.state.current}` ? 200 : 401).end(seen.body);
  });
  const client = createTokenClient(provider.url);
  await client.getToken();
  provider.state.current = 2;
  const response = await client.fetch(data.origin, { method: "POST", body: "again" });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "again");
  assert.equal(provider.seen.length, 2);

  provider.state.current = 3;
  const stream = await client.fetch(data.origin, { method: "POST", body: new Blob(["once"]).stream(), duplex: "half" } as RequestInit);
  assert.equal(stream.status, 401);
});

test("a redirect to another origin does not take the token along", async () => {
  const provider = await serveTokens();
  const elsewhere = await serve((_seen, response) => response.end("elsewhere"));
  const data = await serve((seen, response) => {
    const to: Record<string, string> = { "/near": "/here", "/far": `${elsewhere.origin}/there` };
    const location = to[seen.path];
    if (location) response.writeHead(302, { Location: location }).end();
    else response.end("here");
  });
  const client = createTokenClient(provider.url, { allowedOrigins: [data.origin] });
  assert.equal(await (await client.fetch(`${data.origin}/near`)).text(), "here");
  assert.equal(data.seen[1]!.headers.authorization, "Bearer token-1");
  assert.equal(await (await client.fetch(`${data.origin}/far`)).text(), "elsewhere");
  assert.equal(elsewhere.seen[0]!.headers.authorization, undefined);
  await assert.rejects(client.fetch(elsewhere.origin), { code: "origin_not_allowed" });
  assert.equal(elsewhere.seen.length, 1);
});

test("a redirect of the token request is not followed", async () => {
  const elsewhere = await serve((_seen, response) => response.end("stolen"));
  const provider = await serve((_seen, response) => response.writeHead(307, { Location: elsewhere.origin }).end());
  const client = createTokenClient(`${provider.origin}/getToken`, { headers: { "X-API-Key": "tp_key" } });
  await assert.rejects(client.getToken(), { code: "http_error", status: 307 });
  assert.equal(elsewhere.seen.length, 0);
});

test("errors of a real answer are typed", async () => {
  const provider = await serve((_seen, response) => {
    const body = { error: "temporarily_unavailable", error_description: "no usable token", request_id: "r-7" };
    response.writeHead(503, { "Retry-After": "7", "Content-Type": "application/json" }).end(JSON.stringify(body));
  });
  const error: unknown = await createTokenClient(provider.origin).getToken().catch((reason: unknown) => reason);
  assert.ok(error instanceof TokenError && error instanceof Error);
  assert.deepEqual(
    [error.code, error.status, error.requestId],
    ["temporarily_unavailable", 503, "r-7"],
  );
  // Up to a tenth longer than told, in whole seconds.
  assert.ok(error.retryAfter === 7 || error.retryAfter === 8, String(error.retryAfter));
});

test("a provider that hangs up is told as such", async () => {
  const provider = await serve((_seen, response) => response.destroy());
  const error: unknown = await createTokenClient(provider.origin).getToken().catch((reason: unknown) => reason);
  assert.ok(error instanceof TokenError && error.code === "request_failed" && error.cause instanceof TypeError);
});

test("a script ends although a refresh is due in an hour", async () => {
  const provider = await serveTokens();
  const script = `
    import { createTokenClient } from ${JSON.stringify(import.meta.resolve("token-provider-client"))};
    const { authHeader } = createTokenClient(${JSON.stringify(provider.url)});
    console.log(await authHeader());
  `;
  // Rejects where the time is over, so a script that hangs fails this test.
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], { timeout: 20_000 });
  assert.equal(stdout, "Bearer token-1\n");
});

test("the built file stands alone and stores nothing", async () => {
  const text = await readFile(new URL(import.meta.resolve("token-provider-client")), "utf8");
  assert.doesNotMatch(text, /^\s*import\b|\brequire\(|node:|process\.|localStorage|sessionStorage|indexedDB|cookie|\beval\b|new Function/m);
});
