// Installs the npm packages of a release, without a registry, on whatever machine this is, and uses the program: what a release's
// workflow does on each platform. Needs nothing but Node and npm.
//
//     node try.mjs RELEASE-FILES

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const windows = process.platform === "win32";
const files = path.resolve(process.argv[2]);
const folder = mkdtempSync(path.join(os.tmpdir(), "token-provider-try-"));
const launcher = path.join(folder, "node_modules/token-provider/bin/token-provider.js");

/** The release's file of this form. */
function file(form) {
  const found = readdirSync(files).filter((name) => form.test(name));
  assert.equal(found.length, 1, `${form} in ${files}: ${found}`);
  return path.join(files, found[0]);
}

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: folder, encoding: "utf8", timeout: 120_000, ...options });
  return { ...done, said: `${command} ${args.join(" ")}: ${done.error ?? ""}${done.stdout}${done.stderr}` };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Asks until there is an answer. */
async function token(origin) {
  const end = Date.now() + 60_000;
  for (;;) {
    try {
      const answer = await fetch(`${origin}/getToken?ttl=3600`, { signal: AbortSignal.timeout(10_000) });
      if (answer.ok) return await answer.text();
      assert.fail(`${answer.status}: ${await answer.text()}`);
    } catch (error) {
      if (error instanceof assert.AssertionError || Date.now() > end) throw error;
      await delay(200);
    }
  }
}

async function main() {
  writeFileSync(path.join(folder, "package.json"), "{}");
  const packages = [file(/^token-provider-\d[^-]*\.tgz$/), file(new RegExp(`^token-provider-${process.platform}-${process.arch}-\\d.*\\.tgz$`))];
  const version = /-(\d[^-]*)\.tgz$/.exec(packages[0])[1];
  // npm is a batch file on Windows.
  const options = ["install", "--offline", "--no-audit", "--no-fund", ...packages.map((name) => JSON.stringify(name))];
  const installed = run("npm", options, { shell: true });
  assert.equal(installed.status, 0, installed.said);

  const shown = run(process.execPath, [launcher, "--version"]);
  assert.equal(shown.stdout, `token-provider ${version}\n`, shown.said);
  const wrong = run(process.execPath, [launcher, "serve", "--no-such-option"]);
  assert.equal(wrong.status, 2, wrong.said);
  const nothing = run(process.execPath, [launcher, "serve"], { env: { ...process.env, HOME: folder, USERPROFILE: folder } });
  assert.equal(nothing.status, 78, nothing.said);

  const port = await freePort();
  const server = spawn(process.execPath, [launcher, "serve", "--sandbox", "--listen", `127.0.0.1:${port}`], { cwd: folder, stdio: "inherit" });
  const ended = once(server, "exit");
  try {
    assert.equal((await token(`http://127.0.0.1:${port}`)).split(".").length, 3);
  } finally {
    server.kill();
  }
  const [code, signal] = await ended;
  // On Windows this is no request, and the launcher is ended at once.
  if (!windows) assert.deepEqual([code, signal], [0, null]);
  console.log(`token-provider ${version} works on ${process.platform}-${process.arch}`);
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}
