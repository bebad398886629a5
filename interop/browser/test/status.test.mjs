// The status page in a browser: what it shows, that it keeps up, and that nothing on it runs that should not.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { startServer } from "../../node/support/command.mjs";
import { makeFolder, startBrowser } from "../support/world.mjs";

const timeout = 120_000;
/** `node --test` writes the picture of the documentation here, when told to. */
const PICTURE = process.env.STATUS_PICTURE;

const ends = [];
let admin;
let browser;
let key;
let server;

before(async () => {
  const { folder, end } = await makeFolder();
  ends.push(end);
  key = `tp_${randomBytes(32).toString("base64url")}`;
  const config = join(folder, "token-provider.toml");
  await writeFile(
    config,
    [
      "[profiles.default]",
      "[profiles.maps]",
      "[admin]",
      'listen = "127.0.0.1:0"',
      "[audit]",
      'to = "off"',
      "[access]",
      "anonymous = true",
      'anonymous_profiles = ["default", "maps"]',
      "[[access.api_keys]]",
      'id = "dashboard"',
      `sha256 = "${createHash("sha256").update(key).digest("hex")}"`,
      "",
    ].join("\n"),
  );
  server = await startServer("--sandbox", "--config", config);
  const line = server.log.find((message) => message.includes("metrics and status at "));
  admin = line.match(/metrics and status at (http:\S+)/)[1];
  browser = await startBrowser();
  ends.push(() => browser.close());
});

after(async () => {
  for (const end of ends.reverse()) await end();
});

const ask = (query, headers = {}) => fetch(`${server.origin}/getToken?${query}`, { headers });

/** The page, with everything that its browser complains of. */
async function visit(t) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 1060 } });
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${admin}/status`);
  return { page, complaints };
}

test("tokens count down, requests come up, and an error says what to do", { timeout }, async (t) => {
  const token = await (await ask("ttl=3600")).text();
  const { page, complaints } = await visit(t);
  await page.getByText("✓ Ready").waitFor();
  const ring = page.locator("#profiles svg.ring").first();
  const shown = await ring.textContent();
  assert.match(shown, /^5\d:\d\d$|^1:00:00$/);
  await page.waitForFunction((before) => document.querySelector("#profiles svg.ring").textContent !== before, shown);

  // While it is looked at: somebody with a name, a page that may not, a wish that makes no sense, and a refused credential.
  assert.equal((await ask("ttl=900", { "X-API-Key": key })).status, 200);
  assert.equal((await ask("ttl=900&profile=maps")).status, 200);
  assert.equal((await ask("ttl=900", { Origin: "https://evil.example" })).status, 403);
  assert.equal((await ask("ttl=soon", { Origin: "http://localhost:1234" })).status, 400);
  const fault = { status: 401, error_code: 401300, count: 3 };
  const told = await fetch(`${server.sandbox}/sandbox/faults`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fault),
  });
  assert.ok(told.ok, await told.text());
  assert.equal((await ask("ttl=300&profile=maps")).status, 502);

  const troubles = page.locator("#troubles");
  await troubles.getByText("check here.access.key.id and here.access.key.secret").waitFor();
  assert.match(await troubles.textContent(), /Profile maps.*401300/s);
  const recent = page.locator("#recent");
  // Each is waited for: events are written behind the answers.
  for (const expected of ["dashboard", "refused: origin", "https://evil.example", "no token: issuer_rejected", "handed out"]) {
    await recent.getByText(expected).first().waitFor();
  }
  const everything = await page.content();
  for (const secret of [token, key]) assert.ok(!everything.includes(secret));

  if (PICTURE) await page.screenshot({ path: PICTURE });
  assert.deepEqual(complaints, []);
});

test("what strangers call themselves is shown and not run", { timeout }, async (t) => {
  await ask("ttl=900", { Origin: "http://x.example<img/src=x/onerror=document.title=1>", "X-Request-ID": "a/b" });
  const { page, complaints } = await visit(t);
  await page.locator("#recent").getByText("onerror").waitFor();
  assert.equal(await page.locator("#recent img").count(), 0);
  assert.notEqual(await page.title(), "1");
  assert.deepEqual(complaints, []);
});

test("a page of somebody else sees nothing", { timeout }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${server.origin}/livez`);
  for (const path of ["/status", "/metrics"]) {
    const seen = await page.evaluate(async (url) => {
      const reads = [fetch(url).then((answer) => answer.text()), fetch(url, { mode: "no-cors" }).then((answer) => answer.text())];
      return (await Promise.allSettled(reads)).map((read) => read.value || "");
    }, `${admin}${path}`);
    assert.deepEqual(seen, ["", ""]);
  }
});

test("a server that is gone is said to be gone", { timeout }, async (t) => {
  const { page } = await visit(t);
  await page.getByText("✓ Ready").waitFor();
  assert.equal(await server.stop(), 0);
  await page.getByText("The server is not responding").waitFor();
});
