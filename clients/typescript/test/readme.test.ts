// The README's code where its types do not tell whether it is right.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { createTokenClient, type TokenClient } from "../src/index.js";
import { settle } from "./harness.js";

type Transform = (url: string) => { url: string; headers?: Record<string, string> };

// The tests are built into a folder two below the package's.
const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");

/** Runs the README's code that has these words, with these names for what it imports and finds; returns what `result` is then. */
async function run<Result>(words: string, names: Record<string, unknown>, result: string): Promise<Result> {
  const block = [...readme.matchAll(/^```(?:jsx?|ts)\n(.*?)^```$/gms)].map(([, code]) => code!).find((code) => code.includes(words));
  assert.ok(block, `no code has ${words}`);
  const code = block.replace(/^import .*$|^export /gm, "").replace(/const (\w+): Clock/, "const $1");
  const body = `return (async () => {${code}\nreturn ${result};})()`;
  return (await new Function(...Object.keys(names), body)(...Object.values(names))) as Result;
}

test("transformRequest that cannot wait sends a token or none, and never the word undefined", async () => {
  let held: string | undefined;
  const names = { createTokenClient: () => ({ getToken: async () => held, peekToken: () => held }), Map: function (options: object) { return options; } };
  const { transformRequest } = await run<{ transformRequest: Transform }>("peekToken()", names, "map");

  const url = "https://vector.hereapi.com/tile";
  assert.deepEqual(transformRequest(url), { url });
  held = "token-1";
  assert.deepEqual(transformRequest(url), { url, headers: { Authorization: "Bearer token-1" } });
  const elsewhere = "https://tiles.example/tile";
  assert.deepEqual(transformRequest(elsewhere), { url: elsewhere });
});

test("the service worker passes on what was asked for, and takes what is HERE's alone", async () => {
  const calls: unknown[] = [];
  let handler!: (event: object) => void;
  const names = {
    createTokenClient: () => ({ fetch: (...call: unknown[]) => calls.push(call) }),
    self: { addEventListener: (_type: string, added: typeof handler) => (handler = added) },
  };
  await run("self.addEventListener", names, "0");
  const { signal } = new AbortController();
  const headers = new Headers({ Range: "bytes=0-99", Accept: "image/webp" });
  for (const url of ["https://maps.hereapi.com/v3/tile", "https://elsewhere.example/tile"]) {
    for (const method of ["GET", "POST"]) handler({ request: { url, method, headers, signal }, respondWith: () => {} });
  }
  assert.deepEqual(calls, [["https://maps.hereapi.com/v3/tile", { headers, signal }]]);
});

test("the React hook shows nothing of the address before, and aborts its request", async () => {
  const answers = new Map<string, (response: Response) => void>();
  const signals: AbortSignal[] = [];
  let state: unknown = {};
  let cleanUp: (() => void) | undefined;
  let lastUrl: unknown;
  const names = {
    createTokenClient: () => ({
      fetch: (url: string, { signal }: { signal: AbortSignal }) => {
        signals.push(signal);
        return new Promise<Response>((resolve) => answers.set(url, resolve));
      },
    }),
    useState: () => [state, (next: unknown) => (state = next)],
    useEffect: (effect: () => () => void, [url]: unknown[]) => {
      if (url === lastUrl) return;
      lastUrl = url;
      cleanUp?.();
      cleanUp = effect();
    },
  };
  const useHereData = await run<(url: string) => { data?: unknown; error?: Error }>("useHereData", names, "useHereData");
  const answer = async (url: string, response: Response) => {
    answers.get(url)!(response);
    await settle();
  };
  assert.deepEqual(useHereData("/a"), {});
  await answer("/a", Response.json("a"));
  assert.equal(useHereData("/a").data, "a");
  assert.deepEqual(useHereData("/b"), {}, "not the data of /a");
  assert.equal(signals[0]!.aborted, true);
  await answer("/b", new Response("", { status: 500 }));
  assert.equal(useHereData("/b").error!.message, "HTTP 500");
  assert.deepEqual(useHereData("/a"), {});
});

test("the code for tests: a client with a fetch, and time that passes when told", async () => {
  const testClient = await run<(answer?: (input: string, authorization: string) => Response) => TokenClient>(
    "testClient",
    { createTokenClient },
    "testClient",
  );
  assert.equal(await (await testClient().fetch("https://maps.hereapi.com/1")).text(), "data");
  const seen: string[] = [];
  const { fetch } = testClient((_input, authorization) => {
    seen.push(authorization);
    return new Response("", { status: seen.length === 1 ? 401 : 200 });
  });
  assert.equal((await fetch("https://maps.hereapi.com/1")).status, 200);
  assert.deepEqual(seen, ["Bearer token-1", "Bearer token-2"]);

  const [first, second] = await run<string[]>("monotonic: () => now", { createTokenClient, console: { log: () => {} } }, "[first, second]");
  assert.match(first!, /^token-at-\d+$/);
  assert.notEqual(first, second);
});
