// HTTP libraries that take a `fetch`: each hands it a `Request`, whose body is gone after the first attempt. In Node, and in a page.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { bundle, serve, startChromium } from "../support/browser.mjs";

const timeout = 120_000;
const CLIENT = new URL("../../../clients/typescript/dist/index.js", import.meta.url).href;

/** Calls a service, whose first token has been refused by then, in each way; returns what came back. */
const CALLS = `
  let tokens;
  const calls = {
    "ky POST": () => ky.post(data, { json: { text: "x" }, fetch: tokens.fetch, retry: 0 }).text(),
    "ky DELETE": () => ky.delete(data, { fetch: tokens.fetch, retry: 0 }).text(),
    "axios POST": async () => (await axios.post(data, { text: "x" }, { adapter: "fetch", env: { fetch: tokens.fetch }, responseType: "text" })).data,
    "axios DELETE": async () => (await axios.delete(data, { adapter: "fetch", env: { fetch: tokens.fetch }, responseType: "text" })).data,
    "openapi-fetch POST": async () => {
      const api = createClient({ baseUrl: data, fetch: tokens.fetch });
      return (await api.POST("/", { body: { text: "x" }, parseAs: "text" })).data;
    },
    "openapi-fetch DELETE": async () => {
      const api = createClient({ baseUrl: data, fetch: (request) => tokens.fetch(request) });
      return (await api.DELETE("/", { parseAs: "text" })).data;
    },
  };
  const results = {};
  for (const [name, call] of Object.entries(calls)) {
    tokens = createTokenClient(provider, { allowedOrigins: [data] });
    results[name] = await call().catch((error) => String(error));
  }
`;
const code = (data, provider) => `
  import axios from "axios";
  import ky from "ky";
  import createClient from "openapi-fetch";
  import { createTokenClient } from "token-provider-client";
  const data = ${JSON.stringify(data)};
  const provider = ${JSON.stringify(provider)};
  ${CALLS}
  console.log(JSON.stringify(results));
`;

const servers = [];
let data;
let provider;
let seen;

async function listen(answer) {
  const server = createServer(async (request, response) => {
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, authorization, content-type", "Access-Control-Allow-Methods": "*" };
    if (request.method === "OPTIONS") return response.writeHead(204, headers).end();
    let body = "";
    for await (const chunk of request) body += chunk;
    answer(request, body, response, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return `http://127.0.0.1:${server.address().port}`;
}

before(async () => {
  let tokens = 0;
  provider = await listen((_request, _body, response, headers) =>
    response.writeHead(200, { ...headers, "Access-Control-Expose-Headers": "Token-Expires-In", "Token-Expires-In": "3600" }).end(`token-${++tokens}`),
  );
  // Every other token is refused: the first that each client gets.
  data = await listen(({ method, headers: { authorization } }, body, response, headers) => {
    const isGood = Number(authorization.split("-")[1]) % 2 === 0;
    seen.push(`${isGood ? 200 : 401} ${method} ${body}`);
    response.writeHead(isGood ? 200 : 401, { ...headers, "Content-Type": "text/plain" }).end(isGood ? `${method} ${body}` : "refused");
  });
});

after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

function check(results) {
  const text = '{"text":"x"}';
  for (const [name, result] of Object.entries(results)) {
    assert.equal(result.trim(), name.endsWith("POST") ? `POST ${text}` : "DELETE", name);
  }
  assert.equal(Object.keys(results).length, 6);
  const each = [`401 POST ${text}`, `200 POST ${text}`, "401 DELETE ", "200 DELETE "];
  assert.deepEqual(seen, [...each, ...each, ...each]);
}

test("in Node", { timeout }, async () => {
  seen = [];
  const [{ default: axios }, { default: ky }, { default: createClient }, { createTokenClient }] = await Promise.all(
    ["axios", "ky", "openapi-fetch", CLIENT].map((name) => import(name)),
  );
  const run = new Function("axios", "ky", "createClient", "createTokenClient", "data", "provider", `return (async () => {${CALLS} return results;})()`);
  check(await run(axios, ky, createClient, createTokenClient, data, provider));
});

test("in Chromium", { timeout }, async (t) => {
  seen = [];
  const browser = await startChromium(0);
  t.after(() => browser.close());
  const site = await serve({ "/main.js": await bundle(code(data, provider)) });
  t.after(() => site.stop());
  const page = await browser.newPage();
  const printed = page.waitForEvent("console", { predicate: (message) => message.text().startsWith('{"ky') });
  await page.goto(`${site.origin}/`);
  check(JSON.parse((await printed).text()));
});
