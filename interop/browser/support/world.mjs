// A browser for which names lead to this machine, pages at those names, and the server that they ask.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { chromiumOptions } from "../../node/support/chromium.mjs";
import { startServer } from "../../node/support/command.mjs";

/** Every name that a page may use leads to loopback. */
const FLAGS = [
  "--disable-gpu",
  "--no-proxy-server",
  "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * 127.0.0.1",
];

/** Starts the server with this configuration; `audit` is its trail. */
export async function startAudited(folder, name, lines) {
  const audit = join(folder, `${name}.jsonl`);
  const config = join(folder, `${name}.toml`);
  await writeFile(config, [...lines, "[audit]", `to = "${audit}"`, ""].join("\n"));
  const server = await startServer("--sandbox", "--config", config);
  const end = async () => assert.equal(await server.stop(), 0);
  return { audit, end, port: Number(new URL(server.origin).port), sandbox: server.sandbox };
}

/** Serves an empty page, whatever its name and path. */
export async function startPages() {
  const server = createServer((request, response) => {
    // No connection is kept that would lead here when the name has long been pointed elsewhere.
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", connection: "close" });
    response.end("<!doctype html><title>page</title><body></body>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const end = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { end, port: server.address().port };
}

/** A port that leads where `pointTo` says: to another server from one connection to the next, as a name can. */
export async function startTurncoat(port) {
  let target = port;
  const sockets = new Set();
  const server = createTcpServer((caller) => {
    const callee = connect(target, "127.0.0.1");
    for (const [socket, other] of [[caller, callee], [callee, caller]]) {
      sockets.add(socket);
      socket.on("error", () => other.destroy()).on("close", () => sockets.delete(socket) && other.destroy());
    }
    caller.pipe(callee).pipe(caller);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const end = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  };
  const pointTo = (port) => {
    target = port;
  };
  return { end, pointTo, port: server.address().port };
}

/** A browser of its own, with a fresh profile. */
export async function startBrowser() {
  return chromium.launch({ ...chromiumOptions(...FLAGS), timeout: 60_000 });
}

/** A folder that is gone when the tests have ended. */
export async function makeFolder() {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-browser-"));
  return { folder, end: () => rm(folder, { recursive: true }) };
}
