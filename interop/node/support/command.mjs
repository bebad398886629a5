// Starts `token-provider`, finds out from its log where it listens, and stops it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { on, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Longer than any test file here takes; a process that outlives it is ended. */
const MAX_LIFE_MS = 600_000;

/**
 * Runs `token-provider` until `isReady` is true of its log so far, and returns the log's messages, how to wait for the next one
 * that `isIt`, and how to stop it.
 * It sees nothing of this machine's configuration: an empty folder for both home and work, no environment.
 */
export async function start(args, isReady) {
  const binary = process.env.TOKEN_PROVIDER_BIN;
  assert.ok(binary, "TOKEN_PROVIDER_BIN must name the token-provider binary");
  const folder = await mkdtemp(join(tmpdir(), "token-provider-interop-"));
  const [command, ...options] = args(folder);
  const child = spawn(binary, [command, "--log-format", "json", ...options], {
    cwd: folder,
    env: { HOME: folder },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: MAX_LIFE_MS,
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "exit");
  // When it never started, the log ends without the line that is waited for; that is the error to report.
  ended.catch(() => {});

  const log = [];
  const lines = createInterface(child.stderr);
  const ready = new Promise((resolve, reject) => {
    child.once("error", reject);
    lines
      .on("line", (line) => {
        log.push(messageOf(line));
        if (isReady(log)) resolve();
      })
      .on("close", () => reject(new Error(`token-provider ended before it was ready:\n${log.join("\n")}`)));
  });
  const next = async (isIt) => {
    for await (const [line] of on(lines, "line", { close: ["close"] })) {
      if (isIt(recordOf(line))) return;
    }
    throw new Error(`token-provider ended before it logged what was waited for:\n${log.join("\n")}`);
  };
  const stop = async () => {
    child.kill("SIGTERM");
    const [code] = await ended;
    process.off("exit", kill);
    await rm(folder, { recursive: true });
    return code;
  };
  try {
    await ready;
  } catch (error) {
    kill();
    await rm(folder, { recursive: true });
    throw error;
  }
  return { folder, log, next, stop };
}

/** Starts the offline HERE account; `credentials` is the file that it wrote for its clients, `origin` where it is. */
export async function startSandbox() {
  const file = (folder) => join(folder, "credentials.properties");
  const sandbox = await start(
    (folder) => ["sandbox", "--listen", "127.0.0.1:0", "--write-credentials", file(folder)],
    (log) => addressAfter(log, "sandbox: an offline HERE account at ") !== undefined,
  );
  const origin = addressAfter(sandbox.log, "sandbox: an offline HERE account at ");
  return { ...sandbox, origin, credentials: file(sandbox.folder) };
}

/** Starts the server; `sandbox` is where its embedded HERE account is, if it has one. */
export async function startServer(...options) {
  const server = await start(
    () => ["serve", "--listen", "127.0.0.1:0", ...options],
    (log) => addressAfter(log, "listening on ") !== undefined,
  );
  return {
    ...server,
    origin: addressAfter(server.log, "listening on "),
    sandbox: addressAfter(server.log, "sandbox: an offline HERE account at "),
  };
}

/** What the sandbox counted. */
export async function stats(origin) {
  return (await fetch(`${origin}/sandbox/stats`)).json();
}

function addressAfter(log, words) {
  const line = log.find((message) => message.startsWith(words));
  return line?.slice(words.length).match(/^https?:\/\/[^;\s]+/)?.[0];
}

function messageOf(line) {
  const record = recordOf(line);
  return record.fields?.message ?? record.message ?? line;
}

function recordOf(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}
