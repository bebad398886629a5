// A page that may ask gets a token; a page that may not gets nothing, in whatever way it asks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { auditLines } from "../../node/support/audit.mjs";
import { stats } from "../../node/support/command.mjs";
import { attempt } from "../support/attempts.mjs";
import { makeFolder, startAudited, startBrowser, startPages, startTurncoat } from "../support/world.mjs";

const timeout = 300_000;
const TOKEN = /^[\w-]{20,}\.[\w-]+/;

const ends = [];
let browser;
let listed;
let open;
let pages;
let proxied;

before(async () => {
  const { folder, end } = await makeFolder();
  ends.push(end);
  pages = await startPages();
  ends.push(pages.end);
  open = await startAudited(folder, "open", []);
  ends.push(open.end);
  listed = await startAudited(folder, "listed", ["[cors]", `origins = ["http://maps.example.com:${pages.port}"]`]);
  ends.push(listed.end);
  proxied = await startAudited(folder, "proxied", ["[access.trusted_proxy]", 'from = ["127.0.0.1"]', 'header = "X-Remote-User"']);
  ends.push(proxied.end);
  browser = await startBrowser();
  ends.push(() => browser.close());
});

after(async () => {
  for (const end of ends.reverse()) await end();
});

/** A page at this origin, in a browser profile of its own. */
async function visit(t, origin) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  return page;
}

/**
 * Says which lines of an audit trail are of later requests. What was asked before has been answered, but need not have been written
 * down yet: the trail is written behind the answers.
 */
function later() {
  const now = Date.now();
  return ({ time }) => Date.parse(time) > now;
}

const fetchText = (page, url, options) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        const response = await fetch(url, options);
        return [response.status, await response.text(), response.headers.get("token-expires-in")];
      } catch (error) {
        return [error.name];
      }
    },
    [url, options],
  );

test("pages of this machine get a token where nothing is configured", { timeout }, async (t) => {
  for (const host of ["localhost", "127.0.0.1"]) {
    const page = await visit(t, `http://${host}:${pages.port}`);
    for (const server of ["localhost", "127.0.0.1"]) {
      const [status, text, left] = await fetchText(page, `http://${server}:${open.port}/getToken?ttl=3600`);
      assert.equal(status, 200, `${host} at ${server}: ${text}`);
      assert.match(text, TOKEN);
      assert.ok(Number(left) > 900, "the header can be read");
    }
  }
});

test("a listed page gets a token, after a preflight too, and never with credentials", { timeout }, async (t) => {
  const page = await visit(t, `http://maps.example.com:${pages.port}`);
  const url = `http://localhost:${listed.port}/getToken`;
  assert.match((await fetchText(page, url))[1], TOKEN);
  const [status, text] = await fetchText(page, url, { headers: { "X-Request-ID": "of-the-page" } });
  assert.equal(status, 200, text);
  const [line] = await auditLines(listed.audit, 1, (line) => line.request_id === "of-the-page");
  assert.equal(line.origin, `http://maps.example.com:${pages.port}`);
  // Nothing is open to a page together with the cookies of its user.
  assert.deepEqual(await fetchText(page, url, { credentials: "include" }), ["TypeError"]);
  // A refusal can be read, so that the page can say what is wrong.
  const refused = await fetchText(page, `${url}?ttl=1`);
  assert.equal(refused[0], 400);
  assert.equal(JSON.parse(refused[1]).error, "invalid_request");
});

test("a page that may ask reports a token that HERE refuses, with the client that the server has", { timeout }, async (t) => {
  const page = await visit(t, `http://maps.example.com:${pages.port}`);
  const origin = `http://localhost:${listed.port}`;
  const before = (await stats(listed.sandbox)).token_requests;
  const isOfThisTest = later();
  const seen = await page.evaluate(async (origin) => {
    const { createTokenClient } = await import(`${origin}/client.js`);
    const tokens = [];
    // HERE itself is out of reach: it refuses the first token.
    const send = (input, init) => {
      if (!String(input).startsWith("https://maps.hereapi.com/")) return fetch(input, init);
      tokens.push(new Headers(init.headers).get("authorization"));
      return Promise.resolve(new Response("", { status: tokens.length === 1 ? 401 : 200 }));
    };
    const client = createTokenClient(`${origin}/getToken`, { ttl: 600, fetch: send, headers: { "X-Request-ID": "of-the-client" } });
    const { status } = await client.fetch("https://maps.hereapi.com/1");
    return { status, tokens };
  }, origin);
  assert.equal(seen.status, 200);
  assert.equal(new Set(seen.tokens).size, 2, "it was sent again with another token");
  assert.equal((await stats(listed.sandbox)).token_requests - before, 2);
  const reports = await auditLines(listed.audit, 1, (line) => isOfThisTest(line) && line.outcome === "reported");
  assert.deepEqual(reports.map(({ status, reason, profile }) => [status, reason, profile]), [[200, "accepted", "default"]]);
});

for (const [what, server, host] of [
  ["where nothing is configured", () => open, "evil.example"],
  ["where another page is listed", () => listed, "evil.example"],
  ["of a name that begins like the listed one", () => listed, "maps.example.com.evil.example"],
]) {
  test(`a foreign page gets nothing, ${what}`, { timeout }, async (t) => {
    const { audit, port, sandbox } = server();
    const before = (await stats(sandbox)).token_requests;
    const isOfThisTest = later();
    const origin = `http://${host}:${pages.port}`;
    const page = await visit(t, origin);
    const seen = await page.evaluate(attempt, `http://localhost:${port}/getToken`);
    assertNothingSeen(seen);

    // Nor does the browser show it to the page's window, or to a new one.
    await page.evaluate((url) => void window.open(url), `http://localhost:${port}/getToken?way=popup`);
    await page.goto(`http://localhost:${port}/getToken?way=address-bar`).catch(() => {});
    const typed = await page.evaluate(() => document.body.textContent);
    assert.match(typed, TOKEN, "whoever types the address is no page");
    const linked = await visit(t, origin);
    await linked.evaluate((url) => {
      location.href = url;
    }, `http://localhost:${port}/getToken?way=link`);
    await linked.waitForURL(/way=link/);
    assert.equal(JSON.parse(await linked.evaluate(() => document.body.textContent)).error, "access_denied");

    // The one that the address bar got is among the last.
    await auditLines(audit, 1, (line) => isOfThisTest(line) && line.outcome === "handed_out");
    const lines = await auditLines(audit, 30, isOfThisTest);
    const handedOut = lines.filter(({ outcome }) => outcome === "handed_out");
    assert.equal(handedOut.length, 1, `only to the address bar: ${JSON.stringify(handedOut)}`);
    const rules = new Set(lines.filter((line) => line !== handedOut[0]).map(({ status, rule }) => `${status} ${rule}`));
    assert.deepEqual([...rules], ["403 origin"]);
    assert.ok((await stats(sandbox)).token_requests - before <= 1, "HERE is asked for nobody else");
    t.diagnostic(`${Object.keys(seen).length} ways tried, ${lines.length} requests came, none was for the page`);
  });
}

test("a page of this machine cannot pass for the trusted proxy", { timeout }, async (t) => {
  const page = await visit(t, `http://localhost:${pages.port}`);
  const url = `http://localhost:${proxied.port}/getToken`;
  const isOfThisTest = later();
  for (const headers of [
    { "X-Remote-User": "alice" },
    { "X-Remote-User": "alice", "*": "every header" },
    { "X-Forwarded-For": "192.0.2.1" },
    { Forwarded: "for=192.0.2.1" },
  ]) {
    assert.deepEqual(await fetchText(page, url, { headers }), ["TypeError"], JSON.stringify(headers));
  }
  // What tracing libraries add may be sent: the server is asked, and says that it wants to know who it is.
  const [status] = await fetchText(page, url, { headers: { baggage: "a=b", "sentry-trace": "1-1", "X-Request-ID": "traced" } });
  assert.equal(status, 401);
  await auditLines(proxied.audit, 1, (line) => line.request_id === "traced");
  const lines = await auditLines(proxied.audit, 1, isOfThisTest);
  assert.ok(lines.every(({ outcome }) => outcome === "refused"), JSON.stringify(lines));
});

for (const way of ["prefetch", "prerender"]) {
  test(`a foreign page gets nothing fetched ahead (speculation rules: ${way})`, { timeout }, async (t) => {
    const before = (await stats(open.sandbox)).token_requests;
    const isOfThisTest = later();
    const page = await visit(t, `http://evil.example:${pages.port}`);
    const rules = { [way]: [{ urls: [`http://localhost:${open.port}/getToken?ttl=86400`], eagerness: "immediate" }] };
    await page.evaluate((text) => {
      document.head.append(Object.assign(document.createElement("script"), { type: "speculationrules", text }));
    }, JSON.stringify(rules));
    // Chromium asks by itself: without an origin, and with `Sec-Fetch-Site: none`.
    const [line] = await auditLines(open.audit, 1, isOfThisTest);
    assert.deepEqual([line.status, line.rule, line.origin], [403, "prefetch", undefined]);
    assert.equal((await stats(open.sandbox)).token_requests, before, "HERE is not asked");
  });
}

test("a page in a sandboxed frame gets nothing, even where its origin is listed", { timeout }, async (t) => {
  const page = await visit(t, `http://maps.example.com:${pages.port}`);
  const seen = await page.evaluate(async (url) => {
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    frame.srcdoc = `<script>fetch(${JSON.stringify(url)}).then((r) => r.text()).then(
      (text) => parent.postMessage(text, "*"), (error) => parent.postMessage(error.name, "*"))</script>`;
    const message = new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data), { once: true }));
    document.body.append(frame);
    return message;
  }, `http://localhost:${listed.port}/getToken?way=sandboxed`);
  assert.equal(seen, "TypeError");
  const lines = await auditLines(listed.audit, 1, ({ origin }) => origin === "null");
  assert.ok(lines.every(({ rule }) => rule === "origin"));
});

test("a page whose name was pointed at the server gets nothing", { timeout }, async (t) => {
  const { audit, port } = open;
  const turncoat = await startTurncoat(pages.port);
  t.after(turncoat.end);
  // The attacker's page comes while the name leads to the attacker; what it asks for then goes to the server.
  const origin = `http://rebound.example:${turncoat.port}`;
  const page = await visit(t, origin);
  turncoat.pointTo(port);
  const isOfThisTest = later();
  const seen = await page.evaluate(attempt, `${origin}/getToken`);
  for (const [way, text] of Object.entries(seen)) assert.doesNotMatch(text, /ey[\w-]{20,}/, `${way}: ${text}`);
  // To the browser it is the page's own server: it can read the refusal, and that is all there is.
  assert.match(seen["fetch cors omit"], /^basic 403 .*"access_denied"/);
  const lines = await auditLines(audit, 30, isOfThisTest);
  assert.deepEqual([...new Set(lines.map(({ status, rule }) => `${status} ${rule}`))], ["403 host"]);
});

/** Errors, empty answers that a page may know of, and elements that loaded or did not: but no status, header or text. */
function assertNothingSeen(seen) {
  const nothing = [
    /^(TypeError|SyntaxError|NetworkError|SecurityError)$/,
    /^opaque 0$/,
    /^0$/,
    /^(error|load|nothing came)$/,
    /^queued: (true|false)$/,
    /^$/,
  ];
  for (const [way, text] of Object.entries(seen)) {
    assert.ok(nothing.some((pattern) => pattern.test(text.trim())), `${way}: ${JSON.stringify(text)}`);
  }
}
