// Two instances behind HAProxy, with the configuration that the documentation gives: whose requests they are, and a rolling restart
// under constant load.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { auditLines } from "../node/support/audit.mjs";
import { start, startSandbox } from "../node/support/command.mjs";
import { freePort } from "../node/support/port.mjs";

const timeout = 180_000;
const CALLERS = 16;
const PAUSE_MS = 20;
const REQUESTS = 12_000;

async function startInstance(port, config, credentials) {
  const listen = `127.0.0.1:${port}`;
  const args = ["serve", "--config", config, "--credentials", credentials, "--listen", listen];
  return start(() => args, (log) => log.some((line) => line.startsWith("listening on ")));
}

/** HAProxy in front of these; `row(name)` is what it says of an instance. */
async function startBalancer(t, folder, ports) {
  const port = await freePort();
  const socket = join(folder, "admin.sock");
  let text = await readFile(new URL("../../deploy/haproxy/token-provider.cfg", import.meta.url), "utf8");
  const places = { "127.0.0.1:3000": port, "192.0.2.1:3000": ports.one, "192.0.2.2:3000": ports.two };
  for (const [place, own] of Object.entries(places)) {
    assert.equal(text.split(place).length, 2, place);
    text = text.replace(place, `127.0.0.1:${own}`);
  }
  const config = join(folder, "haproxy.cfg");
  await writeFile(config, `global\n  stats socket ${socket}\n${text}`);
  const child = spawn("haproxy", ["-db", "-f", config], {
    env: { PATH: `${process.env.PATH}:/usr/sbin` },
    stdio: ["ignore", "ignore", "inherit"],
    timeout,
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  const stats = async () => {
    const asking = connect(socket);
    asking.end("show stat\n");
    let answer = "";
    try {
      for await (const piece of asking.setEncoding("utf8")) answer += piece;
    } catch {
      // Not yet.
    }
    return answer;
  };
  const row = async (name) => {
    const [names, ...rows] = (await stats()).split("\n").map((line) => line.replace(/^# /, "").split(","));
    const cells = rows.find((cells) => cells[names.indexOf("svname")] === name);
    return Object.fromEntries(names.map((name, place) => [name, cells?.[place]]));
  };
  const becomes = async (name, wanted) => {
    for (let seen; seen !== wanted; await sleep(50)) {
      assert.equal(child.exitCode, null, "HAProxy has ended");
      seen = (await row(name)).status;
    }
  };
  return { becomes, port, row, stats };
}

/** Asks all the time, on connections that are kept, until it is told to stop; what was not answered with 200 is in `failed`. */
function startLoad(port) {
  const agent = new Agent({ keepAlive: true });
  const failed = [];
  let [answered, stopped] = [0, false];
  const ask = async () => {
    const request = get({ port, host: "127.0.0.1", path: "/getToken", agent });
    const [response] = await once(request, "response", { signal: AbortSignal.timeout(30_000) });
    let text = "";
    for await (const piece of response.setEncoding("utf8")) text += piece;
    if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${text}`);
  };
  const caller = async () => {
    for (; !stopped; await sleep(PAUSE_MS)) {
      await ask().catch((error) => failed.push(`${new Date().toISOString()} ${error.message}`));
      answered += 1;
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  return {
    failed,
    reaches: async (count) => {
      while (answered < count) await sleep(50);
    },
    stop: async () => {
      stopped = true;
      await Promise.all(callers);
      agent.destroy();
      return answered;
    },
  };
}

test("instances learn a caller's address from HAProxy, and from nobody else", { timeout }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-haproxy-"));
  t.after(() => rm(folder, { recursive: true }));
  const sandbox = await startSandbox();
  t.after(sandbox.stop);
  const [config, audit] = [join(folder, "config.toml"), join(folder, "audit.jsonl")];
  await writeFile(config, `[access]\nanonymous = true\n[access.trusted_proxy]\nfrom = ["127.0.0.1"]\n[audit]\nto = "${audit}"\n`);
  const port = await freePort();
  const instance = await startInstance(port, config, sandbox.credentials);
  t.after(instance.stop);
  const balancer = await startBalancer(t, folder, { one: port, two: await freePort() });
  await balancer.becomes("one", "UP");
  const headers = { "x-forwarded-for": "192.0.2.9", "x-request-id": "mark-1" };
  const request = get({ port: balancer.port, host: "127.0.0.1", localAddress: "127.0.0.2", path: "/getToken", headers, agent: false });
  const [response] = await once(request, "response", { signal: AbortSignal.timeout(30_000) });
  response.resume();
  assert.equal(response.statusCode, 200);
  const [line] = await auditLines(audit, 1, (line) => line.request_id === headers["x-request-id"]);
  assert.equal(line.address, "127.0.0.2");
});

test("no request fails while both instances are restarted, one after the other", { timeout }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-haproxy-"));
  t.after(() => rm(folder, { recursive: true }));
  const sandbox = await startSandbox();
  t.after(sandbox.stop);
  const config = join(folder, "config.toml");
  await writeFile(config, 'drain = "10s"\n');
  const ports = { one: await freePort(), two: await freePort() };
  const instances = {};
  t.after(() => Promise.all(Object.values(instances).map((instance) => instance.stop())));
  for (const [name, port] of Object.entries(ports)) {
    instances[name] = await startInstance(port, config, sandbox.credentials);
  }
  const balancer = await startBalancer(t, folder, ports);
  for (const name of Object.keys(ports)) await balancer.becomes(name, "UP");

  // The filter of the command that waits for HAProxy between the two; `socat` only asks for the same.
  const docs = await readFile(new URL("../../docs/deploying.md", import.meta.url), "utf8");
  const [, filter] = docs.match(/echo "show stat" \| socat - \S+ \| (.+); do sleep/);
  const says = (stats) => execFileSync("sh", ["-c", `${filter} && echo up || echo not yet`], { input: stats, encoding: "utf8" });
  const up = await balancer.stats();
  assert.equal(says(up), "up\n");
  assert.equal(says(up.replace(/^(token-provider,one,.*?),UP,/m, "$1,DOWN,")), "not yet\n");

  const load = startLoad(balancer.port);
  try {
    for (const [name, port] of Object.entries(ports)) {
      assert.equal(await instances[name].stop(), 0);
      instances[name] = await startInstance(port, config, sandbox.credentials);
      await balancer.becomes(name, "UP");
    }
    await load.reaches(REQUESTS);
  } finally {
    t.diagnostic(`${await load.stop()} requests, ${load.failed.length} failed`);
  }
  assert.deepEqual(load.failed, []);
  // Nor was there anything that HAProxy had to make good, by sending it again.
  for (const name of Object.keys(ports)) {
    const { econ, eresp, wretr, wredis } = await balancer.row(name);
    assert.deepEqual([econ, eresp, wretr, wredis], ["0", "0", "0", "0"], name);
  }
});
