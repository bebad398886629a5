// HERE's package for Python, and requests-oauthlib: `python_clients.py` says how.

import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { SCOPE, startWorld } from "../support/world.mjs";

const timeout = 120_000;
const script = fileURLToPath(new URL("../python_clients.py", import.meta.url));

let world;

before(async () => {
  world = await startWorld();
});
after(() => world?.end());

test("HERE's package for Python, and requests-oauthlib", { timeout }, () => {
  const env = { HOME: world.folder, KEY_FILE: world.file, HELLO: `${world.sandbox.origin}/hello`, SCOPE, PATH: process.env.PATH };
  const { status, stderr } = spawnSync(process.env.PYTHON, [script, "-v"], { env, cwd: world.folder, encoding: "utf8", timeout });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Ran 7 tests/);
});
