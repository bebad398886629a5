// slowhttptest holds thousands of connections open and says next to nothing on them; everybody else is served meanwhile.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { startProtected } from "./server.mjs";

const CONNECTIONS = 4000;
const SECONDS = 30;
const timeout = 120_000;
/** A machine that does other things as well is slow at times; a server that is held up is silent. */
const PATIENCE_MS = 3000;

const ATTACKS = {
  "heads that never end (slowloris)": { path: "/getToken", flags: ["-H", "-i", "5"] },
  "bodies that never end": { path: "/oauth2/token", flags: ["-B", "-i", "5", "-s", "8192", "-f", "application/x-www-form-urlencoded"] },
  "answers that nobody reads": { path: "/getToken", flags: ["-X", "-w", "1", "-y", "2", "-n", "5", "-z", "1", "-k", "3"] },
  "many ranges at once": { path: "/getToken", flags: ["-R", "-a", "10", "-b", "3000"] },
};

for (const tls of [false, true]) {
  for (const [attack, { path, flags }] of Object.entries(ATTACKS)) {
    test(`${attack}, over ${tls ? "TLS" : "plain HTTP"}`, { timeout }, async (t) => {
      const server = await startProtected({ tls });
      t.after(server.end);
      let isOver = false;
      const load = ["-c", CONNECTIONS, "-r", 1000, "-l", SECONDS, "-p", 3, "-v", 1];
      const attacked = promisify(execFile)("slowhttptest", [...flags, ...load.map(String), "-u", `${server.origin}${path}`], {
        maxBuffer: 1 << 24,
        timeout: 2 * SECONDS * 1000,
      }).finally(() => {
        isOver = true;
      });
      // What goes wrong with it is told when it is awaited.
      attacked.catch(() => {});
      const times = [];
      while (!isOver) {
        times.push(await timed(() => ask(server)));
        await sleep(50);
      }
      const report = (await attacked).stdout.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "");
      assert.match(report, /service available:\s+YES/, report.slice(-600));
      times.sort((a, b) => a - b);
      const [median, longest] = [times[times.length >> 1], times.at(-1)].map((time) => time.toFixed(1));
      t.diagnostic(`${times.length} callers served, median ${median} ms, longest ${longest} ms; slowhttptest: ${summary(report)}`);
      assert.ok(times.length > 10, `${times.length} callers were served`);
    });
  }
}

async function timed(action) {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** A caller that knows the server from before: a connection of its own, and a token. */
async function ask({ ca, key, origin }) {
  const request = ca ? httpsRequest : httpRequest;
  const sent = request(`${origin}/getToken`, { agent: false, ca, headers: { "x-api-key": key } });
  sent.end();
  const [response] = await once(sent, "response", { signal: AbortSignal.timeout(PATIENCE_MS) });
  response.resume();
  assert.equal(response.statusCode, 200);
}

/** The last of its reports on connections, and how it ended. */
function summary(report) {
  const last = (name) => [...report.matchAll(new RegExp(`${name}:\\s+(\\d+)`, "g"))].at(-1)?.[1];
  const counts = ["pending", "connected", "error", "closed"].map((name) => `${name} ${last(name)}`);
  return `${counts.join(", ")}; ${report.match(/Exit status:\s*(.*)/)?.[1] ?? "no exit status"}`;
}
