// TLS: the server's own, and that of a proxy in front, which hands the requests on over plain HTTP. Then the client has signed
// https://…, and the server sees http.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { makeAuthority } from "../../node/support/certificates.mjs";
import { freePort } from "../../node/support/port.mjs";
import { CppClient } from "../support/cpp.mjs";
import { JavaClient } from "../support/java.mjs";
import { makeKey, startWorld } from "../support/world.mjs";

const run = promisify(execFile);
const timeout = 60_000;
const NAME = "tokens.example.com";

let authority;
let certificate;
let folder;
let port;
let relay;
let world;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-here-clients-"));
  port = await freePort();
  const { cert, server: issue } = makeAuthority(folder, "company");
  authority = cert;
  certificate = issue(`DNS:${NAME}`, "DNS:localhost");
  world = await startWorld({ config: `public_hosts = ["${NAME}"]\n`, url: () => `https://localhost:${port}` });
  const [own, key] = await Promise.all([readFile(certificate.cert), readFile(certificate.key)]);
  relay = createServer({ cert: own, key }, (incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port: world.port, method, path, headers: { ...headers, "x-forwarded-proto": "https" } });
    onward.on("response", (answer) => answer.pipe(outgoing.writeHead(answer.statusCode, answer.headers)));
    incoming.pipe(onward);
  }).listen(port, "127.0.0.1");
  await once(relay, "listening");
});
after(async () => {
  relay?.closeAllConnections();
  relay?.close();
  await world?.end();
  await rm(folder, { recursive: true });
});

/** HERE's command line for TypeScript, with the file alone. */
async function works({ file, tokenUrl, hello }) {
  assert.match(tokenUrl, /^https:\/\/localhost:/);
  const command = fileURLToPath(import.meta.resolve("@here/olp-sdk-authentication/oauth-requester"));
  const env = { HOME: folder, NODE_EXTRA_CA_CERTS: authority };
  const { stdout } = await run(process.execPath, [command, "--config", file], { env, timeout });
  assert.equal((await hello(stdout.trim())).status, 200, stdout);
}

test("HERE's command line for TypeScript, through the proxy", { timeout }, () => works(world));

test("HERE's command line for TypeScript, without a proxy", { timeout }, async () => {
  const { cert, key } = certificate;
  const alone = await startWorld({ config: `[tls]\ncert = "${cert}"\nkey = "${key}"\n`, url: (own) => `https://localhost:${own}` });
  try {
    await works(alone);
  } finally {
    await alone.end();
  }
});

test("Java and C++, by the server's public name, with the default port or without", { timeout }, async () => {
  const ca = await readFile(authority);
  for (const url of [`https://${NAME}/oauth2/token`, `https://${NAME}:443/oauth2/token`]) {
    for (const Client of [JavaClient, CppClient]) {
      const client = new Client({ url, id: world.id, secret: world.secret, at: { host: "127.0.0.1", port, ca } });
      const { status, text } = await client.token();
      assert.equal(status, 200, `${Client.name} ${url}: ${text}`);
    }
  }
});

test("the time is there, too", { timeout }, async () => {
  const ca = await readFile(authority);
  const late = () => Date.now() / 1000 - 1800;
  for (const Client of [JavaClient, CppClient]) {
    const client = new Client({ url: `https://${NAME}/oauth2/token`, id: world.id, secret: world.secret, clock: late, at: { host: "127.0.0.1", port, ca } });
    assert.equal((await client.token()).status, 200);
  }
});

test("a key's file names the public address by itself", { timeout }, async () => {
  const { tokenUrl } = await makeKey(await mkdtemp(join(folder, "key-")), "maps", `https://${NAME}`);
  assert.equal(tokenUrl, `https://${NAME}/oauth2/token`);
});
