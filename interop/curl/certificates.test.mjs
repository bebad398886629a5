// `curl --cert`: whoever has a certificate with a name on the list gets a token; everybody else does not.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { auditLines } from "../node/support/audit.mjs";
import { makeAuthority } from "../node/support/certificates.mjs";
import { startServer } from "../node/support/command.mjs";

const timeout = 30_000;

let folder;
let server;
let company;
let certificates;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-curl-"));
  company = makeAuthority(folder, "company");
  const { cert, key } = company.server("DNS:localhost", "IP:127.0.0.1");
  const stranger = makeAuthority(folder, "stranger");
  certificates = {
    dashboard: company.client("dashboard", "DNS:dashboard.example.com"),
    inspector: company.client("inspector", "DNS:node-7.example.com", "URI:spiffe://example.com/inspector"),
    other: company.client("other", "DNS:other.example.com"),
    stranger: stranger.client("dashboard", "DNS:dashboard.example.com"),
    server: { cert, key },
  };
  await copyFile(cert, join(folder, "tls.crt"));
  await copyFile(key, join(folder, "tls.key"));
  const config = join(folder, "token-provider.toml");
  await writeFile(
    config,
    `[tls]
cert = "tls.crt"
key = "tls.key"
client_ca = "company.crt"
[access.mtls]
allow = ["spiffe://example.com/inspector", "dashboard.example.com"]
max_ttl = "15m"
[audit]
to = "${join(folder, "audit.jsonl")}"
`,
  );
  server = await startServer("--sandbox", "--config", config, "--listen", `unix:${join(folder, "local.sock")}`);
});

after(async () => {
  if (server) assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true });
});

/** Runs curl, which takes nothing of this machine's configuration or proxies; returns what it got, or its exit code. */
async function curl(...args) {
  const write = ["--write-out", "\n%{http_code} %{http_version}", "--noproxy", "*", "--max-time", "10"];
  try {
    const { stdout } = await promisify(execFile)("curl", ["-q", "--silent", ...write, ...args], { timeout });
    const end = stdout.lastIndexOf("\n");
    const [status, version] = stdout.slice(end + 1).split(" ");
    return { status: Number(status), version, text: stdout.slice(0, end) };
  } catch (error) {
    return { exit: error.code };
  }
}

const trusting = () => ["--cacert", company.cert];
const showing = ({ cert, key }) => ["--cert", cert, "--key", key];
const ask = (...args) => curl(...trusting(), ...args, `${server.origin}/getToken?ttl=3600`);

for (const [version, flags] of [
  ["TLS 1.2 and HTTP/1.1", ["--tls-max", "1.2", "--http1.1"]],
  ["TLS 1.2 and HTTP/2", ["--tls-max", "1.2", "--http2"]],
  ["TLS 1.3 and HTTP/1.1", ["--tlsv1.3", "--http1.1"]],
  ["TLS 1.3 and HTTP/2", ["--tlsv1.3", "--http2"]],
]) {
  test(`certificates over ${version}`, { timeout }, async () => {
    for (const [who, status] of [["dashboard", 200], ["inspector", 200], ["other", 401]]) {
      const answer = await ask(...flags, ...showing(certificates[who]));
      assert.equal(answer.status, status, `${who}: ${JSON.stringify(answer)}`);
      assert.equal(answer.version, version.endsWith("HTTP/2") ? "2" : "1.1");
    }
    const none = await ask(...flags);
    assert.equal(none.status, 401, "whoever shows no certificate is told so, over HTTP");
    assert.equal(JSON.parse(none.text).error, "invalid_token");
  });
}

test("certificates of others do not get through the handshake", { timeout }, async () => {
  // The same name from another authority, and one of ours that is for servers.
  for (const who of ["stranger", "server"]) {
    for (const version of [["--tls-max", "1.2"], ["--tlsv1.3"]]) {
      const { exit, status } = await ask(...version, ...showing(certificates[who]));
      // 35: the handshake failed. With TLS 1.3 curl's side of it is done before the server's alert comes, which then
      // ends the sending (55) or the receiving (56), or HTTP/2 (16).
      assert.ok([16, 35, 55, 56].includes(exit), `${who}: exit ${exit}, status ${status}`);
    }
  }
});

test("curl knows the server by its certificate", { timeout }, async () => {
  // 60: the certificate is not from an authority that curl knows.
  assert.equal((await curl(`${server.origin}/livez`)).exit, 60);
  // Older versions of TLS: whether curl or the server says no, there is no connection.
  assert.equal((await ask("--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")).exit, 35);
});

test("the OAuth 2.0 door takes a certificate as a client's authentication", { timeout }, async () => {
  const door = (...args) =>
    curl(...trusting(), ...args, "--data", "grant_type=client_credentials", `${server.origin}/oauth2/token`);
  const { status, text } = await door(...showing(certificates.dashboard));
  assert.equal(status, 200, text);
  const { token_type, expires_in } = JSON.parse(text);
  assert.ok(token_type === "Bearer" && expires_in <= 900, text);
  const refused = await door(...showing(certificates.other));
  assert.deepEqual([refused.status, JSON.parse(refused.text).error], [401, "invalid_client"]);
  const metadata = await curl(...trusting(), `${server.origin}/.well-known/oauth-authorization-server`);
  assert.deepEqual(JSON.parse(metadata.text).token_endpoint_auth_methods_supported, ["tls_client_auth"]);
});

test("the audit trail names the caller by the name on the list", { timeout }, async () => {
  const lines = await auditLines(join(folder, "audit.jsonl"), 1, (line) => line.outcome === "handed_out");
  const names = new Set(lines.map(({ method, caller }) => `${method} ${caller}`));
  assert.deepEqual([...names].sort(), ["mtls dashboard.example.com", "mtls spiffe://example.com/inspector"]);
});

test("over the Unix socket there is no certificate to show", { timeout }, async () => {
  const { status } = await curl("--unix-socket", join(folder, "local.sock"), "http://localhost/getToken");
  assert.equal(status, 401);
});

test("a new server certificate is shown without a restart", { timeout }, async () => {
  const successor = makeAuthority(folder, "successor");
  const { cert, key } = successor.server("DNS:localhost", "IP:127.0.0.1");
  await copyFile(key, join(folder, "tls.key"));
  await copyFile(cert, join(folder, "tls.crt"));
  const known = () => curl("--cacert", successor.cert, `${server.origin}/livez`);
  for (const deadline = Date.now() + 20_000; (await known()).status !== 200; await sleep(200)) {
    assert.ok(Date.now() < deadline, "the new certificate is not shown");
  }
  assert.equal((await ask(...showing(certificates.dashboard))).exit, 60, "the old one is gone");
});
