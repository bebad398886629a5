// The page goes on working: through the issuer's outage, its provider's, and from one token to the next.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { loaded, number, openPage, seconds, setFaults, startChromium, startServer, stats, until } from "./support.mjs";

const timeout = 240_000;

let browser;

before(async () => {
  browser = await startChromium();
});

after(() => browser?.close());

/** Runs with a sandbox of its own: it is going to be made to fail. */
async function withPage(options, run) {
  const server = await startServer("--sandbox");
  try {
    const opened = await openPage(browser, server, options);
    await loaded(opened.page);
    await run(opened, server);
    await opened.close();
  } finally {
    assert.equal(await server.stop(), 0);
  }
}

/** The provider may have had none, and said so; the console tells of it. */
function onlyTokenRequestsFailed(problems) {
  assert.deepEqual(problems.filter((text) => !text.includes("/getToken?")), []);
}

/** Waits until the page, which reads every second, has made some more data requests. */
async function readsOn(page) {
  const before = await number(page, "data-requests");
  await until("three more data requests", async () => (await number(page, "data-requests")) >= before + 3);
}

test("outages of the issuer and of the provider, and refreshes, cost no data request", { timeout }, () =>
  // The page's clock is set forward: what it then does, it does with the real server.
  withPage({ fakeClock: true }, async ({ page, problems }, server) => {
    const refreshed = () => page.locator("#refreshed").textContent();
    const state = () => page.locator("#token-state").textContent();
    const forward = (by) => page.clock.fastForward(by * 1000);
    assert.equal(await number(page, "token-requests"), 1);
    const first = await refreshed();

    // HERE's account fails, and the page's token becomes due: the provider has another.
    await page.locator("#live").check();
    await setFaults(server, [{ target: "token", status: 503 }]);
    await forward(215);
    await until("a refresh", async () => (await refreshed()) !== first);
    assert.equal(await number(page, "token-requests"), 2);
    await readsOn(page);
    assert.deepEqual(problems, []);

    // Another lifetime while the account is down: there is no such token, and the one that is held goes on.
    await page.getByText("1 min", { exact: true }).click();
    await until("a refused token request", async () => (await state()).includes("no new one"));
    await readsOn(page);
    assert.ok(seconds(await page.locator("#ring-of").textContent()) > 60);
    await setFaults(server, []);
    await forward(31);
    await until("tokens of a minute", async () => seconds(await page.locator("#ring-of").textContent()) <= 60);
    assert.equal(await state(), "fresh");

    // The provider itself cannot be reached. The token is one of an hour: when it is due, it has minutes left, and on a busy
    // machine seconds are gone before the page has read on.
    await page.getByText("1 h", { exact: true }).click();
    await until("tokens of an hour", async () => seconds(await page.locator("#ring-of").textContent()) > 3000);
    await page.route("**/getToken?*", (route) => route.abort("connectionrefused"));
    const second = await refreshed();
    await forward(2700);
    await until("the provider is missed", async () => (await state()).includes("no new one"));
    await readsOn(page);
    await page.unroute("**/getToken?*");
    await forward(31);
    await until("a refresh", async () => (await refreshed()) !== second && (await state()) === "fresh");
    await readsOn(page);

    assert.equal(await number(page, "failures"), 0);
    assert.equal((await stats(server.sandbox)).data_failures, 0);
    onlyTokenRequestsFailed(problems);
  }),
);

test("a minute of real time: the issuer is away when the token is due", { timeout }, () =>
  withPage({}, async ({ page, problems }, server) => {
    await page.getByText("1 min", { exact: true }).click();
    await until("tokens of a minute", async () => seconds(await page.locator("#ring-of").textContent()) <= 60);
    await page.locator("#live").check();
    const requests = await number(page, "token-requests");
    const refreshed = await page.locator("#refreshed").textContent();
    const before = await stats(server.sandbox);

    // The server's own token is due at 42 s, give or take 3.
    await until("24 s left", async () => seconds(await page.locator("#ring-time").textContent()) <= 24);
    await setFaults(server, [{ target: "token", status: 503 }]);
    await until("a refused request for a token", async () => (await stats(server.sandbox)).faults_applied > before.faults_applied);
    await readsOn(page);
    await setFaults(server, []);

    await until("a refresh", async () => (await page.locator("#refreshed").textContent()) !== refreshed);
    await readsOn(page);
    assert.ok((await number(page, "token-requests")) > requests);
    assert.equal(await number(page, "failures"), 0);
    assert.equal((await stats(server.sandbox)).data_failures, 0);
    onlyTokenRequestsFailed(problems);
  }),
);
