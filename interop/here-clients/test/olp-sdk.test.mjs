// HERE's authentication SDK for TypeScript, three releases of it, unchanged, gets its tokens from the server, and from nowhere else.

import { takeConnections } from "../../node/support/connections.mjs";

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { auditLines } from "../../node/support/audit.mjs";
import { notThis, SCOPE, startWorld } from "../support/world.mjs";

const run = promisify(execFile);
const timeout = 60_000;
const guard = new URL("../../node/support/connections.mjs", import.meta.url).href;

let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.end());

const releases = {
  "1.5": "olp-sdk-authentication-1.5",
  "1.9": "olp-sdk-authentication-1.9",
  "1.11": "@here/olp-sdk-authentication",
};

for (const [version, name] of Object.entries(releases)) {
  const { loadCredentialsFromFile, requestToken, UserAuth } = await import(name);
  const userAuth = (options) =>
    new UserAuth({ customUrl: world.tokenUrl, credentials: loadCredentialsFromFile(world.file), tokenRequester: requestToken, ...options });

  test(`${version} is the release that is meant`, () => {
    const found = createRequire(import.meta.url)(`${name}/package.json`);
    assert.equal(found.name, "@here/olp-sdk-authentication");
    assert.ok(found.version.startsWith(`${version}.`), found.version);
  });

  test(`${version}: a token that works, and is the same for all`, { timeout }, async () => {
    const issued = await world.issued();
    const auth = userAuth();
    const token = await auth.getToken();
    assert.equal(await auth.getToken(), token);
    assert.equal(await userAuth().getToken(), token, "another client has the same one");
    // The server itself requests the default token when it starts.
    assert.ok((await world.issued()) <= issued + 1);
    const { status, secondsLeft } = await world.hello(token);
    assert.equal(status, 200);
    assert.ok(secondsLeft > 900 && secondsLeft <= 3600, `${secondsLeft} s left`);
  });

  test(`${version}: scope and lifetime`, { timeout }, async () => {
    const { accessKeyId: consumerKey, accessKeySecret: secretKey } = loadCredentialsFromFile(world.file);
    const answer = await requestToken({ url: world.tokenUrl, consumerKey, secretKey, expiresIn: 600, scope: SCOPE });
    assert.deepEqual([answer.tokenType, answer.scope], ["bearer", SCOPE]);
    assert.ok(answer.expiresIn > 150 && answer.expiresIn <= 600, `${answer.expiresIn}`);
    const { scope, secondsLeft } = await world.hello(answer.accessToken);
    assert.equal(scope, SCOPE);
    assert.ok(secondsLeft <= 600);
  });

  test(`${version}: a wrong secret is refused`, { timeout }, async () => {
    const credentials = loadCredentialsFromFile(world.file);
    const wrong = { ...credentials, accessKeySecret: notThis(credentials.accessKeySecret) };
    await assert.rejects(userAuth({ credentials: wrong }).getToken(), (error) => error.status === 401);
  });

  test(`${version}: its command line, with the file alone`, { timeout }, async () => {
    const home = join(world.folder, version);
    await mkdir(join(home, ".here"), { recursive: true });
    await copyFile(world.file, join(home, ".here", "credentials.properties"));
    const command = fileURLToPath(import.meta.resolve(`${name}/oauth-requester`));
    const requester = (...args) => run(process.execPath, ["--import", guard, command, ...args], { env: { HOME: home }, timeout });
    for (const args of [[], ["--config", world.file]]) {
      const { stdout } = await requester(...args);
      assert.equal((await world.hello(stdout.trim())).status, 200, stdout);
    }
  });
}

test("the audit trail has them all under the key's name", { timeout }, async () => {
  const lines = await auditLines(world.audit, 15, ({ method, outcome }) => method === "here_key" && outcome === "handed_out");
  assert.deepEqual([...new Set(lines.map(({ caller }) => caller))], [world.id]);
});

test("no SDK has connected to anything but the server", () => {
  // And to the sandbox, which says whether a token works.
  const places = [world.origin, world.sandbox.origin].map((url) => new URL(url).host);
  assert.deepEqual(takeConnections().sort(), places.sort());
});

test("the secret is in no log", () => {
  assert.ok(world.log.length > 0);
  assert.ok(!world.log.join("\n").includes(world.secret));
});
