// What nginx says of its callers counts; what anybody else says of them does not.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { auditLines } from "../node/support/audit.mjs";
import { CALLER, STRANGER, startCompany } from "./support.mjs";

const timeout = 30_000;
const ALICE = { cookie: "session=of-alice" };

let company;

before(async () => {
  company = await startCompany();
});
after(() => company?.end());

/** Marks a request, so that its line in the audit trail can be found. */
let marks = 0;
const marked = (headers) => ({ ...headers, "x-request-id": `mark-${(marks += 1)}` });
const lineOf = async (headers) =>
  (await auditLines(company.audit, 1, (line) => line.request_id === headers["x-request-id"]))[0];

test("who is signed in gets a token, under that name and from that address", { timeout }, async () => {
  const headers = marked(ALICE);
  const { status, text, headers: answer } = await company.nginx({ path: "/getToken?ttl=3600", headers });
  assert.equal(status, 200, text);
  assert.match(text, /^[\w-]+\.[\w-]+/);
  assert.ok(Number(answer["token-expires-in"]) <= 900, "the policy of such callers holds");
  const { outcome, method, caller, address } = await lineOf(headers);
  assert.deepEqual({ outcome, method, caller, address }, {
    outcome: "handed_out",
    method: "trusted_proxy",
    caller: "alice",
    address: CALLER,
  });
});

test("who is not signed in does not get past nginx", { timeout }, async () => {
  for (const cookie of ["", "session=of-mallory"]) {
    const headers = marked({ cookie, "x-remote-user": "alice" });
    assert.equal((await company.nginx({ headers })).status, 401);
  }
  assert.ok(company.signIn.asked.includes(undefined));
});

test("a caller cannot choose its own name", { timeout }, async () => {
  for (const given of [{ "X-Remote-User": "admin" }, { "x-remote-user": ["admin", "root"] }, { X_Remote_User: "admin" }]) {
    const headers = marked({ cookie: "session=of-bob", ...given });
    assert.equal((await company.nginx({ headers })).status, 200, JSON.stringify(given));
    assert.equal((await lineOf(headers)).caller, "bob", JSON.stringify(given));
  }
});

test("a caller cannot choose its own groups", { timeout }, async () => {
  for (const [user, lifetime] of [["carol", 3600], ["bob", 900]]) {
    for (const given of [{}, { "X-Groups": "admins" }, { "x-groups": ["admins", "staff"] }, { X_Groups: "admins" }]) {
      const headers = marked({ cookie: `session=of-${user}`, ...given });
      assert.equal((await company.nginx({ path: "/getToken?ttl=3600", headers })).status, 200, JSON.stringify(given));
      assert.equal((await lineOf(headers)).lifetime, lifetime, `${user} ${JSON.stringify(given)}`);
    }
  }
});

test("a caller cannot choose its own address", { timeout }, async () => {
  for (const given of ["192.0.2.1", "192.0.2.1, 127.0.0.1", "unknown", "::1"]) {
    const headers = marked({ ...ALICE, "x-forwarded-for": given });
    assert.equal((await company.nginx({ headers })).status, 200, given);
    assert.equal((await lineOf(headers)).address, CALLER, given);
  }
});

test("strangers who go past nginx are refused, whatever they write", { timeout }, async () => {
  for (const given of [
    {},
    { "x-remote-user": "alice" },
    { "x-remote-user": "alice", "x-forwarded-for": "127.0.0.1" },
    { "x-remote-user": "alice", forwarded: "for=127.0.0.1", via: "1.1 nginx", "x-real-ip": "127.0.0.1" },
  ]) {
    const headers = marked({ ...ALICE, ...given });
    const { status, headers: answer } = await company.direct({ from: STRANGER, headers });
    assert.deepEqual([status, answer["www-authenticate"]], [401, 'Bearer realm="token-provider"'], JSON.stringify(given));
    const { outcome, rule, address, caller } = await lineOf(headers);
    assert.deepEqual([outcome, rule, address, caller], ["refused", "authenticate", STRANGER, undefined]);
  }
});

test("pages are judged behind nginx as everywhere", { timeout }, async () => {
  const origin = (origin) => company.nginx({ headers: { ...ALICE, origin } });
  const listed = await origin("https://maps.example.com");
  assert.deepEqual([listed.status, listed.headers["access-control-allow-origin"]], [200, "https://maps.example.com"]);
  assert.equal((await origin("https://tokens.example.com")).status, 200, "our own, over TLS");
  // TLS ends at nginx, which says so: a page over plain http is not our own.
  assert.equal((await origin("http://tokens.example.com")).status, 403);
  const headers = marked({ ...ALICE, origin: "https://evil.example" });
  const foreign = await company.nginx({ headers });
  assert.deepEqual([foreign.status, foreign.headers["access-control-allow-origin"]], [403, undefined]);
  assert.equal((await lineOf(headers)).rule, "origin");
});

test("a name that was pointed at nginx is refused, at the port as at the Unix socket", { timeout }, async () => {
  for (const path of ["/getToken", "/socket/getToken"]) {
    // To the browser, the page and nginx have one origin.
    for (const page of [{ "sec-fetch-site": "same-origin" }, { origin: "https://rebound.example" }, {}]) {
      const headers = marked({ ...ALICE, ...page });
      const { status, headers: answer } = await company.nginx({ host: "rebound.example", path, headers });
      assert.deepEqual([status, answer["access-control-allow-origin"]], [403, undefined], path);
      assert.equal((await lineOf(headers)).rule, "host", path);
    }
  }
  // By its own name the server is there, and asks who it is.
  const { status } = await company.nginx({ path: "/socket/getToken", headers: { "sec-fetch-site": "same-origin" } });
  assert.equal(status, 401);
});

test("the metadata names URLs as callers see them", { timeout }, async () => {
  const { text } = await company.nginx({ path: "/.well-known/oauth-authorization-server", headers: ALICE });
  assert.equal(JSON.parse(text).token_endpoint, "https://tokens.example.com/oauth2/token");
});

test("the session is in no log", () => {
  assert.ok(company.log.length > 0);
  assert.ok(!company.log.join("\n").includes("session="));
});
