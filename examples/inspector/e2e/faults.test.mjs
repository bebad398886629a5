// Each button that makes the account fail shows what it says, whatever lifetime has been chosen; and what hides where.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { loaded, number, openPage, seconds, startChromium, startServer, stats, until } from "./support.mjs";

const timeout = 400_000;

let browser;

before(async () => {
  browser = await startChromium();
});

after(() => browser?.close());

async function faults(server) {
  return (await fetch(`${server.sandbox}/sandbox/faults`)).json();
}

for (const lifetime of ["1 min", "5 min", "1 h"]) {
  describe(`at a lifetime of ${lifetime}`, () => {
    let server;
    let opened;
    let page;
    const state = () => page.locator("#token-state").textContent();
    const of = async () => seconds(await page.locator("#ring-of").textContent());
    const met = async () => Number(/met it: (\d+)\. /.exec(await page.locator("#fault-met").textContent())?.[1] ?? 0);

    before(async () => {
      server = await startServer("--sandbox");
      opened = await openPage(browser, server);
      page = opened.page;
      await loaded(page);
      await page.getByText(lifetime, { exact: true }).click();
    });

    after(async () => {
      await opened?.close();
      if (server) assert.equal(await server.stop(), 0);
    });

    /** Clicks a button, waits until a token request has met the fault, and looks. In the end nothing has failed. */
    async function click(name, shows) {
      const before = await stats(server.sandbox);
      await page.getByRole("button", { name }).click();
      await page.locator("#fault-active:not([hidden])").waitFor();
      const [fault] = await faults(server);
      assert.ok(fault.for_s >= 20 && fault.for_s <= 140, "it ends in the sandbox, too");
      await until(`${name} is met`, async () => (await met()) > 0);
      await shows(before);
      const reads = await number(page, "data-requests");
      await until("the page reads on", async () => (await number(page, "data-requests")) >= reads + 3);
      assert.ok(await page.locator("#token-state").getAttribute("data-state") !== "expired");
      await page.locator("#fault-end").click();
      await page.locator("#fault-active").waitFor({ state: "hidden" });
      assert.deepEqual(await faults(server), []);
      assert.equal(await number(page, "failures"), 0);
      assert.equal((await stats(server.sandbox)).data_failures, 0);
      assert.ok(await page.locator("#alert").isHidden());
    }

    test("the account is down: no new token, and the held one goes on", { timeout }, () =>
      click("Account down", async () => {
        await until("it says so", async () => (await state()).includes("no new one"));
        assert.ok((await of()) > 600, "one that outlives the outage");
      }));

    test("the account hangs: nobody waits for it", { timeout }, () => click("Account hangs", async () => {}));

    test("the clock is off: the signature is refused once, and a token comes", { timeout }, () =>
      click("Clock off", async (before) => {
        const issued = async () => (await stats(server.sandbox)).tokens_issued - before.tokens_issued;
        const refused = async () => ((await stats(server.sandbox)).refused["401204"] ?? 0) - (before.refused["401204"] ?? 0);
        await until("a refused signature", async () => (await refused()) >= 1);
        await until("a token", async () => (await issued()) >= 1);
      }));

    test("tokens are short: the ring shows them come and go", { timeout }, () =>
      click("Short tokens", async () => {
        await until("tokens of 30 s", async () => (await of()) <= 30);
        const first = await page.locator("#refreshed").textContent();
        await until("the next one", async () => (await page.locator("#refreshed").textContent()) !== first && (await state()) === "fresh");
      }));

    test("after that, the chosen lifetime is back", { timeout }, async () => {
      const chosen = { "1 min": 60, "5 min": 300, "1 h": 3600 }[lifetime];
      await until("it is back", async () => (await of()) > chosen / 5 && (await of()) <= chosen);
      // The console tells of token requests that failed, and of nothing else.
      assert.deepEqual(opened.problems.filter((text) => !text.includes("/getToken?")), []);
    });
  });
}

describe("in a window of a notebook", () => {
  let server;

  before(async () => {
    server = await startServer("--sandbox");
  });

  after(async () => {
    if (server) assert.equal(await server.stop(), 0);
  });

  for (const [width, height] of [[1366, 768], [1024, 768], [1280, 600]]) {
    test(`${width} × ${height}: nothing is below a fold without a cue`, { timeout }, async () => {
      const opened = await openPage(browser, server, { viewport: { width, height } });
      try {
        const { page } = opened;
        await loaded(page);
        const look = () =>
          page.evaluate(() => {
            const { scrollHeight, scrollWidth } = document.documentElement;
            const hidden = [...document.querySelectorAll(".side, .center")].filter((side) => side.scrollHeight - side.scrollTop - side.clientHeight >= 8);
            const cued = hidden.filter((side) => side.querySelector(".more")?.checkVisibility());
            const { bottom } = document.querySelector("#how").getBoundingClientRect();
            return { tooTall: scrollHeight - innerHeight, tooWide: scrollWidth - innerWidth, hidden: hidden.length, cued: cued.length, codeIsSeen: bottom <= innerHeight || hidden.some(({ id }) => id === "center") };
          });
        const isRight = ({ tooTall, tooWide, hidden, cued, codeIsSeen }) => tooTall <= 0 && tooWide <= 0 && hidden === cued && codeIsSeen;
        await until("a page that fits", async () => isRight(await look()));
        const { hidden } = await look();
        assert.equal(hidden > 0, height < 768);
        if (hidden > 0) {
          await page.locator("#side-token .more").click();
          await until("the end is in sight", async () => (await look()).hidden === hidden - 1);
        }
        // With a partition open, and with a fault.
        await page.locator("#partitions button").nth(8).click();
        await page.locator("#details:not([hidden])").waitFor();
        await page.getByRole("button", { name: "Short tokens" }).click();
        await page.locator("#fault-active:not([hidden])").waitFor();
        await until("a page that fits", async () => isRight(await look()));
        await page.locator("#fault-end").click();
        assert.deepEqual(opened.problems, []);
      } finally {
        await opened.close();
      }
    });
  }

  test("it says what it is, and its code can be copied", { timeout }, async () => {
    const opened = await openPage(browser, server, { permissions: ["clipboard-read", "clipboard-write"] });
    try {
      const { page } = opened;
      await loaded(page);
      const about = await page.locator("#about").textContent();
      for (const words of ["token-provider", "sandbox", "invented data", "docs/quick-start.md"]) assert.ok(about.includes(words), words);
      const link = await page.locator("#about a").getAttribute("href");
      assert.equal((await page.request.get(`${server.origin}${link}`)).status(), 200);
      await page.getByRole("button", { name: "Copy" }).click();
      await until("copied", async () => (await page.locator("#copy").textContent()) === "Copied");
      const code = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(code, await page.locator("#how").textContent());
      assert.ok(code.includes(`from "${server.origin}/client.js"`), code);

      // In a page of another origin, as it is but for the callback that is called.
      const other = await opened.page.context().newPage();
      const client = code.replace(/new DataInspector\(.*/, "document.title = (await getBearerToken()).length > 20 ? 'a token' : 'none';");
      const { createServer } = await import("node:http");
      const site = createServer((_request, response) => response.writeHead(200, { "Content-Type": "text/html" }).end(`<!doctype html>${client}`));
      await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
      try {
        await other.goto(`http://127.0.0.1:${site.address().port}/`);
        await until("a token in another page", async () => (await other.title()) === "a token");
      } finally {
        site.close();
        site.closeAllConnections();
      }
      assert.deepEqual(opened.problems, []);
    } finally {
      await opened.close();
    }
  });
});
