// Two real identity providers at once, one of them behind a private authority.

import "../../node/support/connections.mjs";

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { RESOURCE, makeKey, startIssuer } from "../support/issuer.mjs";
import { ask, startServerWith, until } from "../support/server.mjs";

const timeout = 60_000;

/** A private authority, and a certificate for localhost that it has signed. */
function makeAuthority(folder) {
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=A private authority");
  openssl("req", "-new", ...key.slice(0, -2), "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=localhost");
  writeFileSync(join(folder, "names"), "subjectAltName = DNS:localhost\n");
  const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"];
  openssl("x509", "-req", "-in", "tls.csr", ...signed, "-out", "tls.crt");
  const read = (name) => readFileSync(join(folder, name), "utf8");
  return { file: join(folder, "ca.pem"), tls: { key: read("tls.key"), cert: read("tls.crt"), ca: read("ca.pem") } };
}

const entry = (issuer, more = []) => ["[[access.oidc]]", `issuer = "${issuer}"`, `audience = "${RESOURCE}"`, ...more];

describe("with two identity providers, one behind a private authority", () => {
  const folder = mkdtempSync(join(tmpdir(), "token-provider-authority-"));
  const authority = makeAuthority(folder);
  // By the same name, so that only the issuer tells whose key it is.
  const keys = [makeKey("ES256", "1"), makeKey("ES256", "1")];
  let [open, inside, server] = [];

  before(async () => {
    open = await startIssuer([keys[0]]);
    inside = await startIssuer([keys[1]], 0, authority.tls);
    const lines = [...entry(open.origin, ['max_ttl = "5m"']), ...entry(inside.origin, [`ca = "${authority.file}"`])];
    server = await startServerWith(lines);
  });

  after(async () => {
    await server?.end();
    await open?.stop();
    await inside?.stop();
    rmSync(folder, { recursive: true });
  });

  const refused = async (token, status, description) => {
    const answer = await ask(server, token);
    assert.equal(answer.status, status, answer.text);
    assert.equal(JSON.parse(answer.text).error_description, description);
  };

  test("tokens of both let their bearers in", { timeout }, async () => {
    for (const issuer of [open, inside]) {
      const { status, text } = await ask(server, await issuer.accessToken());
      assert.equal(status, 200, text);
      assert.equal(issuer.requests.get("/jwks"), 1);
    }
  });

  test("a token that names one and is signed by the other", { timeout }, async (t) => {
    // Well signed, by a key of the same name.
    const [header, payload] = (await inside.accessToken()).split(".");
    const key = { key: createPrivateKey({ key: keys[0], format: "jwk" }), dsaEncoding: "ieee-p1363" };
    const signature = sign("sha256", Buffer.from(`${header}.${payload}`), key).toString("base64url");
    await refused(`${header}.${payload}.${signature}`, 401, "the token's signature is wrong");
    const liar = await startIssuer([makeKey("ES256", "1")]);
    t.after(() => liar.stop());
    await refused(await liar.accessToken(), 401, "the token is from another issuer");
    assert.equal(liar.requests.get("/jwks"), undefined, "nobody asks where a token says");
  });

  test("a flood of unknown keys against one leaves the other alone", { timeout }, async () => {
    const [header, payload, signature] = (await open.accessToken()).split(".");
    const renamed = (kid) => {
      const changed = { ...JSON.parse(Buffer.from(header, "base64url")), kid };
      return [Buffer.from(JSON.stringify(changed)).toString("base64url"), payload, signature].join(".");
    };
    const before = inside.requests.get("/jwks");
    const flood = Array.from({ length: 50 }, (_, number) => ask(server, renamed(`unknown-${number}`)));
    const good = Array.from({ length: 50 }, async () => ask(server, await inside.accessToken()));
    assert.ok((await Promise.all(flood)).every(({ status }) => status === 401 || status === 503));
    assert.ok((await Promise.all(good)).every(({ status }) => status === 200));
    assert.ok(open.requests.get("/jwks") <= 2, "asked once more at most");
    assert.equal(inside.requests.get("/jwks"), before);
  });

  test("one goes away while the other is in use", { timeout }, async () => {
    const [known, other] = [await inside.accessToken(), await open.accessToken()];
    await inside.stop();
    inside = undefined;
    // Its keys are held; the other is asked for nothing more.
    assert.equal((await ask(server, known)).status, 200);
    assert.equal((await ask(server, other)).status, 200);
  });
});

test("one that is away at the start, and a wrong authority, are their own affair", { timeout: 2 * timeout }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "token-provider-authority-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const authority = makeAuthority(folder);
  const [open, inside] = [await startIssuer([makeKey("ES256", "1")]), await startIssuer([makeKey("ES256", "1")], 0, authority.tls)];
  t.after(() => Promise.all([open.stop(), inside.stop()]));
  // Without `ca` nobody vouches for it.
  const server = await startServerWith([...entry(inside.origin), ...entry(open.origin)]);
  t.after(server.end);
  assert.equal((await ask(server, await inside.accessToken())).status, 503);
  const token = await open.accessToken();
  await until(() => ask(server, token), ({ status }) => status === 200);
  assert.equal((await ask(server, await inside.accessToken())).status, 503);
});
