// HERE's own authentication SDK, unchanged, gets tokens from the sandbox, and from nowhere else.

import { takeConnections } from "../support/connections.mjs";

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, beforeEach, test } from "node:test";
import { UserAuth, loadCredentialsFromFile, requestToken } from "@here/olp-sdk-authentication";

import { startSandbox, stats } from "../support/command.mjs";

let sandbox;
let credentials;
let tokenUrl;

before(async () => {
  sandbox = await startSandbox();
  credentials = loadCredentialsFromFile(sandbox.credentials);
  // The SDK reads the keys from the file and leaves the URL to its caller.
  const file = await readFile(sandbox.credentials, "utf8");
  tokenUrl = /^here\.token\.endpoint\.url\s*=\s*(\S+)$/m.exec(file)[1].replaceAll("\\", "");
});

after(async () => {
  if (sandbox) assert.equal(await sandbox.stop(), 0);
});

beforeEach(() => {
  takeConnections();
});

const userAuth = (options) => new UserAuth({ customUrl: tokenUrl, credentials, tokenRequester: requestToken, ...options });
const hello = (token) => fetch(`${sandbox.origin}/hello`, { headers: { Authorization: `Bearer ${token}` } });
const timeout = 20_000;

test("the SDK is the one that is meant", () => {
  const version = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;
  assert.match(version("@here/olp-sdk-authentication"), /^1\.11\./);
  assert.equal(tokenUrl, `${sandbox.origin}/oauth2/token`);
});

test("gets a token that works, from the sandbox and from nowhere else", { timeout }, async () => {
  const issued = (await stats(sandbox.origin)).tokens_issued;
  const auth = userAuth();
  const token = await auth.getToken();
  assert.equal(token.split(".").length, 3);
  assert.equal(await auth.getToken(), token);
  assert.equal((await stats(sandbox.origin)).tokens_issued, issued + 1);

  const response = await hello(token);
  assert.equal(response.status, 200);
  const { secondsLeft } = await response.json();
  assert.ok(secondsLeft > 3500 && secondsLeft <= 3600, `${secondsLeft} s left`);
  assert.deepEqual(takeConnections(), [new URL(sandbox.origin).host]);
});

test("the SDK's own validation accepts the token, and no other", { timeout }, async () => {
  const token = await userAuth().getToken();
  // The SDK appends `verify/accessToken` to the same URL that it takes for the token endpoint's.
  const verifier = userAuth({ customUrl: `${sandbox.origin}/` });
  assert.equal(await verifier.validateAccessToken(token), true);
  const forged = `${token.slice(0, -8)}${token.endsWith("AAAAAAAA") ? "BBBBBBBB" : "AAAAAAAA"}`;
  await assert.rejects(verifier.validateAccessToken(forged), (error) => error.status === 401);
  assert.equal((await hello(forged)).status, 401);
});

test("lifetime and scope are as asked for", { timeout }, async () => {
  const scope = "hrn:here:authorization::myrealm:project/p1";
  const response = await hello(await userAuth({ expiresIn: 120, scope }).getToken());
  const body = await response.json();
  assert.equal(body.scope, scope);
  assert.ok(body.secondsLeft > 90 && body.secondsLeft <= 120, `${body.secondsLeft} s left`);
});

test("a wrong secret is refused", { timeout }, async () => {
  const wrong = { ...credentials, accessKeySecret: `${credentials.accessKeySecret.slice(0, -1)}!` };
  await assert.rejects(userAuth({ credentials: wrong }).getToken(), (error) => error.status === 401);
  assert.equal((await stats(sandbox.origin)).refused["401300"], 1);
});

// What keeps "and from nowhere else" honest: left to itself, the SDK does go to HERE, and that is seen and stopped.
test("a connection to HERE would have been seen", { timeout }, async () => {
  await assert.rejects(new UserAuth({ env: "here", credentials, tokenRequester: requestToken }).getToken());
  assert.deepEqual(takeConnections(), ["account.api.here.com:443"]);
});
