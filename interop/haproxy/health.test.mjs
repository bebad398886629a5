// HAProxy's health checks, in both forms that its manual has: over HTTP/1.0 without a name, and with one that is not the server's.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { startServer } from "../node/support/command.mjs";
import { freePort } from "../node/support/port.mjs";

const timeout = 60_000;
const DEADLINE_MS = 20_000;

const CHECKS = {
  "HTTP/1.0 without a name": "option httpchk GET /readyz",
  "HTTP/1.1 with another name": "option httpchk\n  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host tokens.internal",
};

/** HAProxy in front of this server; `status` says how it sees it: `UP`, `DOWN`, or on the way there. */
async function startBalancer(t, check, server) {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-haproxy-"));
  const [port, stats] = [await freePort(), await freePort()];
  const config = join(folder, "haproxy.cfg");
  const lines = [
    "defaults",
    "  mode http",
    "  timeout connect 5s\n  timeout client 5s\n  timeout server 5s",
    `frontend callers\n  bind 127.0.0.1:${port}\n  default_backend tokens`,
    "backend tokens",
    `  ${check}`,
    `  server one ${server} check inter 100ms rise 2 fall 2`,
    `frontend stats\n  bind 127.0.0.1:${stats}\n  stats enable\n  stats uri /`,
    "",
  ];
  await writeFile(config, lines.join("\n"));
  const child = spawn("haproxy", ["-db", "-f", config], {
    env: { PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ["ignore", "ignore", "inherit"],
    timeout,
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  });
  const row = async () => {
    const text = await fetch(`http://127.0.0.1:${stats}/;csv`).then((answer) => answer.text()).catch(() => "");
    const [names, ...rows] = text.split("\n").map((line) => line.replace(/^# /, "").split(","));
    const found = rows.find((cells) => cells[names.indexOf("svname")] === "one");
    return found && Object.fromEntries(names.map((name, place) => [name, found[place]]));
  };
  /** Waits until the balancer says this of the server, by a check that came to an end. */
  const becomes = async (wanted) => {
    let last;
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(50)) {
      last = await row();
      if (last?.status === wanted && last.check_status.startsWith("L7")) return last;
    }
    assert.fail(`HAProxy never said ${wanted}: ${JSON.stringify(last)}`);
  };
  return { becomes, origin: `http://127.0.0.1:${port}` };
}

for (const [what, check] of Object.entries(CHECKS)) {
  test(`HAProxy finds the server ready: ${what}`, { timeout }, async (t) => {
    const server = await startServer("--sandbox");
    t.after(() => server.stop());
    const balancer = await startBalancer(t, check, new URL(server.origin).host);
    const { check_status, check_code } = await balancer.becomes("UP");
    assert.deepEqual([check_status, check_code], ["L7OK", "200"]);
    const answer = await fetch(`${balancer.origin}/getToken`);
    assert.equal(answer.status, 200, await answer.text());
  });

  test(`HAProxy finds a server without a token not ready: ${what}`, { timeout }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "token-provider-haproxy-"));
    t.after(() => rm(folder, { recursive: true }));
    const credentials = join(folder, "credentials.properties");
    // Nobody answers there.
    const endpoint = `http://127.0.0.1:${await freePort()}/oauth2/token`;
    await writeFile(
      credentials,
      `here.access.key.id=an-id\nhere.access.key.secret=a-secret-of-the-tests\nhere.token.endpoint.url=${endpoint}\n`,
      { mode: 0o600 },
    );
    const server = await startServer("--credentials", credentials);
    t.after(() => server.stop());
    const balancer = await startBalancer(t, check, new URL(server.origin).host);
    const { check_status, check_code } = await balancer.becomes("DOWN");
    assert.deepEqual([check_status, check_code], ["L7STS", "503"]);
  });
}
