// openid-client gets HERE tokens by client credentials, as from any OAuth 2.0 server: it knows the server's URL, and a key.

import "../../node/support/connections.mjs";

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import * as client from "openid-client";

import { startServer } from "../../node/support/command.mjs";

const timeout = 20_000;
const SCOPE = "hrn:here:authorization::myrealm:project/p1";

let folder;
let key;
let server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-oauth2-"));
  // The key on the first line, then what goes into the configuration.
  const { stdout } = await promisify(execFile)(
    process.env.TOKEN_PROVIDER_BIN,
    ["key", "new", "--id", "dashboard"],
    { cwd: folder, env: { HOME: folder }, timeout },
  );
  key = stdout.split("\n")[0];
  assert.match(key, /^tp_[\w-]{43}$/);
  const stanza = stdout.slice(key.length);
  assert.ok(!stanza.includes(key));
  const file = join(folder, "token-provider.toml");
  await writeFile(file, `[profiles.default]\nscopes = ["${SCOPE}"]\n${stanza}`);
  server = await startServer("--sandbox", "--config", file);
});

after(async () => {
  if (server) assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true });
});

const discover = (authentication, id = "dashboard") =>
  client.discovery(new URL(server.origin), id, undefined, authentication, {
    algorithm: "oauth2",
    // The server is on this machine, without TLS.
    execute: [client.allowInsecureRequests],
  });

test("the server describes itself", { timeout }, async () => {
  const metadata = (await discover(client.ClientSecretBasic(key))).serverMetadata();
  assert.equal(metadata.issuer, server.origin);
  assert.equal(metadata.token_endpoint, `${server.origin}/oauth2/token`);
  assert.ok(metadata.grant_types_supported.includes("client_credentials"));
});

for (const [method, authenticate] of [
  ["client_secret_basic", client.ClientSecretBasic],
  ["client_secret_post", client.ClientSecretPost],
]) {
  test(`tokens by ${method}`, { timeout }, async () => {
    const configuration = await discover(authenticate(key));
    assert.ok(configuration.serverMetadata().token_endpoint_auth_methods_supported.includes(method));

    const token = await client.clientCredentialsGrant(configuration);
    assert.equal(token.token_type, "bearer");
    assert.ok(token.expires_in > 900 && token.expires_in <= 3600, `${token.expires_in} s`);
    // Counted down by the client's own clock, which goes on meanwhile.
    const left = token.expiresIn();
    assert.ok(left > token.expires_in - 30 && left <= token.expires_in, `${left} s left of ${token.expires_in} s`);
    const url = new URL(`${server.sandbox}/hello`);
    const hello = await client.fetchProtectedResource(configuration, token.access_token, url, "GET");
    assert.equal(hello.status, 200, "the token works at HERE's services");

    const scoped = await client.clientCredentialsGrant(configuration, { scope: SCOPE, expires_in: "600" });
    assert.equal(scoped.scope, SCOPE);
    assert.ok(scoped.expires_in > 150 && scoped.expires_in <= 600, `${scoped.expires_in} s`);
    assert.notEqual(scoped.access_token, token.access_token);
  });

  test(`a wrong secret by ${method}`, { timeout }, async () => {
    const wrong = key.slice(0, -1) + (key.endsWith("A") ? "B" : "A");
    await refused(client.clientCredentialsGrant(await discover(authenticate(wrong))), 401, "invalid_client");
  });
}

test("the key under another id", { timeout }, async () => {
  const other = await discover(client.ClientSecretBasic(key), "other");
  await refused(client.clientCredentialsGrant(other), 401, "invalid_client");
});

test("what is not to be had", { timeout }, async () => {
  const configuration = await discover(client.ClientSecretBasic(key));
  const grant = (parameters) => client.clientCredentialsGrant(configuration, parameters);
  await refused(grant({ scope: "hrn:here:authorization::myrealm:project/p2" }), 400, "invalid_scope");
  await refused(grant({ expires_in: "soon" }), 400, "invalid_request");
  const password = client.genericGrantRequest(configuration, "password", { username: "a", password: "b" });
  await refused(password, 400, "unsupported_grant_type");
});

test("nobody without a key", { timeout }, async () => {
  await refused(client.clientCredentialsGrant(await discover(client.None())), 401, "invalid_client");
});

test("the key is in no log", () => {
  assert.ok(server.log.length > 0);
  assert.ok(!server.log.join("\n").includes(key));
});

/** As openid-client tells an error of RFC 6749, section 5.2; or, with a challenge, of RFC 9110, section 11.6.1. */
async function refused(request, status, error) {
  await assert.rejects(request, (thrown) => {
    if (thrown instanceof client.WWWAuthenticateChallengeError) {
      assert.deepEqual([thrown.status, thrown.cause[0].scheme], [status, "basic"]);
      assert.equal(error, "invalid_client");
      return true;
    }
    assert.ok(thrown instanceof client.ResponseBodyError, thrown);
    assert.deepEqual([thrown.status, thrown.error], [status, error]);
    assert.ok(thrown.error_description);
    return true;
  });
}
