// The code of docs/integrating.md for HERE's SDKs and for OAuth 1.0 libraries, as it stands there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { HERE_CLIENTS, placed, sections } from "../../integrating/support/document.mjs";
import { startWorld } from "../support/world.mjs";

const run = promisify(execFile);
const timeout = 60_000;
const guard = new URL("../../node/support/connections.mjs", import.meta.url).href;
const packages = fileURLToPath(new URL("../node_modules", import.meta.url));

/** Nobody here has what these are for: the SDKs were tried by hand. */
const NOT_RUN_HERE = ["cpp", "hocon", "java"];

const document = new Map((await sections()).map(({ title, blocks }) => [title, blocks]));
const ran = new Set();

let folder;
let world;

before(async () => {
  world = await startWorld();
  folder = await mkdtemp(join(world.folder, "document-"));
  await symlink(packages, join(folder, "node_modules"));
  await copyFile(world.file, join(folder, "maps.properties"));
});
after(() => world?.end());

/** The code of a section in a language, with this test's addresses. */
function code(title, language, count) {
  const blocks = document.get(title).filter((block) => block.language === language);
  assert.equal(blocks.length, count, title);
  for (const block of blocks) ran.add(block);
  return placed(blocks.map((block) => block.code).join("\n"), {
    "http://localhost:3000": world.origin,
    // The sandbox stands for HERE's account service.
    'env: "here"': `customUrl: "${world.sandbox.origin}/"`,
  });
}

async function prints(expected, command, args, env = {}) {
  const options = { cwd: folder, env: { HOME: folder, PATH: process.env.PATH, HELLO: `${world.sandbox.origin}/hello`, ...env }, timeout };
  const { stdout } = await run(command, args, options);
  assert.equal(stdout.trim(), expected);
}

async function inNode(text, expected, env) {
  const file = join(folder, "main.mjs");
  const hello = "\nconsole.log((await fetch(process.env.HELLO, { headers: { Authorization: `Bearer ${token}` } })).status);\n";
  await writeFile(file, text + hello);
  await prints(expected, process.execPath, ["--import", guard, file], env);
}

test("HERE's command line says whether a file works", { timeout }, async () => {
  // The commands of the other block are for `ci/check docs`.
  const [, command] = document.get("HERE's own SDKs, without code").filter(({ language }) => language === "sh");
  assert.match(command.code, /^npx /);
  ran.add(command);
  const { stdout } = await run("bash", ["-euc", command.code], { cwd: folder, env: { HOME: folder, PATH: process.env.PATH, npm_config_offline: "true" }, timeout });
  assert.equal((await world.hello(stdout.trim())).status, 200, stdout);
});

test("Python: here-location-services", { timeout }, async () => {
  const standIn = `
import os
from unittest.mock import Mock

import requests

real = requests.get

def get(url, headers, **_):
    status = real(os.environ["HELLO"], headers=headers, timeout=20).status_code
    return Mock(status_code=status, json=lambda: {"items": [{"title": url}]})

requests.get = get
`;
  const text = standIn + code("Python: here-location-services", "python", 1);
  await prints("https://geocode.search.hereapi.com/v1/geocode", process.env.PYTHON, ["-c", text]);
});

test("TypeScript: olp-sdk-authentication, and another of it that asks HERE", { timeout }, async () => {
  await inNode(code("TypeScript: olp-sdk-authentication", "js", 2), "true\n200");
});

test("TypeScript: olp-sdk-authentication cannot ask HERE by the server's URL, as the document says", { timeout }, async () => {
  const { UserAuth } = await import("@here/olp-sdk-authentication");
  const auth = new UserAuth({ customUrl: world.tokenUrl, credentials: { accessKeyId: "a", accessKeySecret: "b" } });
  await assert.rejects(auth.validateAccessToken("a"), ({ status }) => status === 404);
});

test("other OAuth 1.0 clients: requests-oauthlib, oauth-1.0a", { timeout }, async () => {
  const title = "Other OAuth 1.0 clients";
  const hello = '\nimport os\nprint(requests.get(os.environ["HELLO"], headers={"Authorization": f"Bearer {token}"}, timeout=20).status_code)\n';
  await prints("200", process.env.PYTHON, ["-c", code(title, "python", 1) + hello]);
  const key = { HERE_ACCESS_KEY_ID: world.id, HERE_ACCESS_KEY_SECRET: world.secret };
  await inNode(code(title, "js", 1), "200", key);
});

test("all code of these sections has been run, but for languages that are not here", () => {
  const rest = HERE_CLIENTS.flatMap((title) => {
    const blocks = document.get(title) ?? assert.fail(`no section ${title}`);
    return blocks.filter((block) => !ran.has(block) && !NOT_RUN_HERE.includes(block.language)).map(({ language }) => `${title}: ${language}`);
  });
  assert.deepEqual(rest, ["HERE's own SDKs, without code: sh"]);
});
