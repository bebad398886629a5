// Envoy adds the token to its clients' requests, with the configuration that docs/integrating.md shows.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { placed, sections } from "../integrating/support/document.mjs";
import { startHere } from "../integrating/support/here.mjs";
import { makeAuthority } from "../node/support/certificates.mjs";
import { startServer } from "../node/support/command.mjs";
import { freePort } from "../node/support/port.mjs";

const timeout = 60_000;

let folder;
let envoy;
let here;
let key;
let log = "";
let origin;
let server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-envoy-"));
  const made = execFileSync(process.env.TOKEN_PROVIDER_BIN, ["key", "new", "--id", "envoy"], { env: { HOME: folder }, encoding: "utf8" });
  key = made.split("\n")[0];
  const config = join(folder, "token-provider.toml");
  await writeFile(config, made.slice(key.length));
  server = await startServer("--sandbox", "--config", config);
  const authority = makeAuthority(folder, "authority");
  here = await startHere(server.sandbox, authority.server("DNS:maps.hereapi.com"));
  await writeFile(join(folder, "api-key"), key);
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  const { blocks } = (await sections()).find(({ title }) => title === "Envoy");
  const { code } = blocks.find(({ language }) => language === "yaml");
  const { host, port: serverPort } = new URL(server.origin);
  const places = {
    "http://localhost:3000": `http://${host}`,
    "address: localhost, port_value: 3000": `address: 127.0.0.1, port_value: ${serverPort}`,
    "address: maps.hereapi.com, port_value: 443": `address: 127.0.0.1, port_value: ${here.port}`,
    "port_value: 10000": `port_value: ${port}`,
    "/etc/envoy/api-key": join(folder, "api-key"),
    "/etc/ssl/certs/ca-certificates.crt": authority.cert,
  };
  for (const place of Object.keys(places)) assert.ok(code.includes(place), `not in the document: ${place}`);
  const file = join(folder, "envoy.yaml");
  await writeFile(file, placed(code, places));
  const program = join(dirname(process.env.PYTHON), "envoy");
  envoy = spawn(program, ["--config-path", file, "--use-dynamic-base-id", "--log-level", "warning"], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  process.once("exit", () => envoy.kill("SIGKILL"));
  envoy.stderr.setEncoding("utf8").on("data", (text) => {
    log += text;
  });
});

after(async () => {
  if (envoy?.exitCode === null) {
    envoy.kill("SIGKILL");
    await once(envoy, "exit");
  }
  await here?.stop();
  if (server) assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true });
});

test("a request without a token gets one on its way to HERE", { timeout }, async () => {
  // Until Envoy has its first token, it answers 401 itself.
  let response;
  for (const end = performance.now() + 30_000; performance.now() < end; await sleep(100)) {
    assert.equal(envoy.exitCode, null, log);
    response = await fetch(`${origin}/v3/copyright`).catch(() => undefined);
    if (response?.status === 200) break;
  }
  assert.equal(response?.status, 200, log);
  assert.deepEqual(await response.json(), { copyrights: ["HERE"] });
  assert.deepEqual(here.requests, [{ path: "/v3/copyright", status: 200 }]);
});

test("what a client sends as its own token is replaced", { timeout }, async () => {
  const response = await fetch(`${origin}/v3/copyright`, { headers: { Authorization: "Bearer of-mallory" } });
  assert.equal(response.status, 200, log);
});

test("many requests need one token", { timeout }, async () => {
  const handouts = () => server.log.filter((message) => message === "token handed out").length;
  const before = handouts();
  const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(`${origin}/v3/copyright`)).status));
  assert.deepEqual([...new Set(statuses)], [200]);
  assert.equal(handouts(), before);
});

test("neither the key nor a token is in a log", () => {
  for (const text of [log, server.log.join("\n")]) {
    assert.ok(!text.includes(key));
    assert.doesNotMatch(text, /eyJ[\w-]{20}/);
  }
});
