// A server without rules, on this machine; one that has a key and takes anonymous callers as well; one that finds such a file itself.

import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { start, startSandbox } from "../../node/support/command.mjs";
import { CppClient } from "../support/cpp.mjs";
import { JavaClient } from "../support/java.mjs";
import { makeKey, notThis, program, startWorld } from "../support/world.mjs";

const timeout = 60_000;

test("without rules, any credentials.properties whose endpoint is this server gets tokens", { timeout }, async () => {
  const sandbox = await startSandbox();
  const listening = (log) => log.some((message) => message.startsWith("listening on "));
  const server = await start(() => ["serve", "--listen", "127.0.0.1:0", "--credentials", sandbox.credentials], listening);
  try {
    const [origin] = /http:\/\/127\.0\.0\.1:\d+/.exec(server.log.find((message) => message.startsWith("listening on ")));
    // The id and the secret of a HERE access key, of somebody else's account.
    for (const Client of [JavaClient, CppClient]) {
      const options = { url: `${origin}/oauth2/token`, id: "SyntheticAccessKeyId42", secret: "Zk3_".repeat(21) };
      const { status, json, text } = await new Client(options).token();
      assert.equal(status, 200, text);
      const headers = { Authorization: `Bearer ${json.access_token ?? json.accessToken}` };
      assert.equal((await fetch(`${sandbox.origin}/hello`, { headers })).status, 200);
    }
  } finally {
    assert.equal(await server.stop(), 0);
    assert.equal(await sandbox.stop(), 0);
  }
});

test("with a key and anonymous callers: an unknown id gets a token, a known one with a wrong signature does not", { timeout }, async () => {
  const world = await startWorld({ config: "[access]\nanonymous = true\n" });
  try {
    for (const Client of [JavaClient, CppClient]) {
      const client = (options) => new Client({ url: world.tokenUrl, id: world.id, secret: world.secret, ...options });
      assert.equal((await client({ id: "SyntheticAccessKeyId42" }).token()).status, 200);
      assert.equal((await client().token()).status, 200);
      const { status, json } = await client({ secret: notThis(world.secret) }).token();
      assert.deepEqual([status, json.errorCode], [401, 401300]);
    }
  } finally {
    await world.end();
  }
});

test("a server that finds such a file where it looks for HERE's credential says what it is", { timeout }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-here-clients-"));
  try {
    const { file, secret } = await makeKey(folder, "maps", "http://127.0.0.1:3000");
    await copyFile(file, join(folder, "credentials.properties"));
    const { code, stdout, stderr } = await program(folder, "serve", "--listen", "127.0.0.1:0");
    assert.equal(code, 78, stderr);
    assert.match(stderr, /credentials\.properties/);
    assert.match(stderr, /\bremote\b/);
    assert.ok(!(stdout + stderr).includes(secret));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the client's file and the server's are this user's alone, and replace nothing", { timeout }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-here-clients-"));
  try {
    await makeKey(folder, "maps", "http://127.0.0.1:3000");
    const text = await readFile(join(folder, "maps.properties"), "utf8");
    await writeFile(join(folder, "other.secret"), "somebody else's");
    for (const name of ["maps", "other"]) {
      const { code } = await program(folder, "key", "new", "--here", "--id", name, "--out", folder, "--url", "http://127.0.0.1:3000");
      assert.notEqual(code, 0, name);
    }
    assert.equal(await readFile(join(folder, "maps.properties"), "utf8"), text);
    assert.equal(await readFile(join(folder, "other.secret"), "utf8"), "somebody else's");
  } finally {
    await rm(folder, { recursive: true });
  }
});
