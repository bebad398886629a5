// `OlpClientSettings`, which every client of HERE's data services in JavaScript is built on, takes its tokens from the server.

import { takeConnections } from "../support/connections.mjs";

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DataStoreRequestBuilder, OlpClientSettings } from "@here/olp-sdk-core";

import { startSandbox, startServer, stats } from "../support/command.mjs";

const timeout = 20_000;

/** The same for each way to start the server; `server.sandbox` is where the HERE account behind it is. */
function settingsGetTokens(name, setUp) {
  describe(name, () => {
    let server;
    let settings;

    before(async () => {
      server = await setUp();
      settings = new OlpClientSettings({
        environment: server.sandbox,
        getToken: () => fetch(`${server.origin}/getToken`).then((response) => response.text()),
      });
      takeConnections();
    });

    after(async () => {
      if (server) assert.equal(await server.stop(), 0);
    });

    test("the token works at HERE's services", { timeout }, async () => {
      const token = await settings.token();
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
      const hello = await fetch(`${server.sandbox}/hello`, { headers });
      assert.equal(hello.status, 200);
      const verify = (token) =>
        fetch(`${server.sandbox}/verify/accessToken`, { method: "POST", headers, body: JSON.stringify({ token }) });
      assert.equal((await verify(token)).status, 204);
      assert.equal((await verify(`${token}x`)).status, 401);
    });

    test("the SDK's own requests carry it", { timeout }, async () => {
      const requests = new DataStoreRequestBuilder(settings.downloadManager, server.sandbox, settings.token);
      const { greeting, secondsLeft } = await requests.download(`${server.sandbox}/hello`);
      assert.equal(greeting, "Hello from the HERE sandbox");
      assert.ok(secondsLeft > 900 && secondsLeft <= 3600, `${secondsLeft} s left`);
      const without = new DataStoreRequestBuilder(settings.downloadManager, server.sandbox, async () => "not a token");
      await assert.rejects(without.download(`${server.sandbox}/hello`), (error) => error.status === 401);
    });

    test("many calls cost one token request, and none goes elsewhere", { timeout }, async () => {
      const tokens = new Set(await Promise.all(Array.from({ length: 50 }, () => settings.token())));
      assert.equal(tokens.size, 1);
      assert.equal((await stats(server.sandbox)).token_requests, 1);
      const hosts = [server.origin, server.sandbox].map((url) => new URL(url).host);
      assert.deepEqual(takeConnections().sort(), hosts.sort());
    });
  });
}

settingsGetTokens("serve --sandbox", () => startServer("--sandbox"));

settingsGetTokens("serve --credentials", async () => {
  const sandbox = await startSandbox();
  const server = await startServer("--credentials", sandbox.credentials).catch(async (error) => {
    await sandbox.stop();
    throw error;
  });
  const stop = async () => {
    const codes = [await server.stop(), await sandbox.stop()];
    return codes.find((code) => code !== 0) ?? 0;
  };
  return { ...server, sandbox: sandbox.origin, stop };
});
