// The page as people use it: with a mouse, with the keyboard alone, in light and dark, on a telephone.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";

import { colours, loaded, number, openPage, quiet, seconds, setFaults, startChromium, startServer, stats, until } from "./support.mjs";

/** Looked at by people; `npm run screenshots` puts them where the documents show them. */
const PICTURES = process.env.PICTURES ?? fileURLToPath(new URL("../test-results", import.meta.url));

const timeout = 180_000;

let server;
let browser;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  server = await startServer("--sandbox");
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  if (server) assert.equal(await server.stop(), 0);
});

describe("in light", () => {
  let opened;
  let page;
  let token;
  let requestsBefore;

  before(async () => {
    requestsBefore = await stats(server.sandbox);
    opened = await openPage(browser, server, {
      colorScheme: "light",
      before: (page) => {
        page.on("response", async (response) => {
          if (!response.url().includes("/getToken")) return;
          token = { expiresIn: Number(await response.headerValue("token-expires-in")), sentAt: response.request().timing().startTime };
        });
      },
    });
    page = opened.page;
    await loaded(page);
  });

  after(() => opened?.close());

  test("it shows a city in partitions, for one token request and with no complaint", { timeout }, async () => {
    assert.equal(await page.locator("#partitions button").count(), 24);
    assert.deepEqual(await page.locator("#layers strong").allTextContents(), ["Land and water", "Roads", "Buildings", "Places"]);
    let counted;
    const data = () => counted.data_requests - requestsBefore.data_requests;
    // A request may be under way.
    await until("the page counts as the sandbox does", async () => {
      counted = await stats(server.sandbox);
      return (await number(page, "data-requests")) === data();
    });
    assert.ok(data() >= 24 * 3, `${data()} data requests`);
    assert.equal(await number(page, "token-requests"), 1);
    assert.equal(await number(page, "failures"), 0);
    assert.equal(counted.data_failures, requestsBefore.data_failures);
    const map = await page.locator("#map").screenshot();
    assert.ok((await colours(browser, map)) > 200, "a blank map");
    assert.deepEqual(opened.problems, []);
  });

  test("its ring counts down to the token's end", { timeout }, async () => {
    assert.ok(token.expiresIn > 75 && token.expiresIn <= 300, `${token.expiresIn} s`);
    // Both at one moment. A page that is busy drawing comes to its ring later.
    const shownAndLeft = async () => {
      const [text, now] = await page.evaluate(() => [document.querySelector("#ring-time").textContent, Date.now()]);
      return [seconds(text), token.expiresIn - (now - token.sentAt) / 1000];
    };
    const compare = async () => {
      let shown;
      let left;
      await until("the ring shows what is left", async () => {
        [shown, left] = await shownAndLeft();
        return Math.abs(shown - left) < 3;
      });
      return shown;
    };
    const first = await compare();
    await until("three seconds less", async () => (await shownAndLeft())[0] <= first - 3);
    const last = await compare();
    assert.equal(seconds(await page.locator("#ring-of").textContent()), token.expiresIn);
    const drawn = Number((await page.locator("#ring-value").getAttribute("stroke-dasharray")).split(" ")[0]);
    assert.ok(Math.abs(drawn / 100 - last / token.expiresIn) < 0.1, `${drawn} % drawn`);
    assert.equal(await page.locator("#token-state").textContent(), "fresh");
  });

  test("a click on the map opens what is there", { timeout }, async () => {
    const { width, height } = await page.locator("#map").boundingBox();
    await page.locator("#map canvas").click({ position: { x: width / 2, y: height / 2 } });
    await page.locator("#details:not([hidden])").waitFor();
    assert.match(await page.locator("#details-title").textContent(), /^Partition 13003\d{5}$/);
    assert.match(await page.locator("#details-facts").textContent(), /features? · [\d.]+ KiB · application\/geo\+json · version 0$/);
    const building = page.locator("#features button").nth(3);
    const address = await building.locator(".name").textContent();
    await building.click();
    assert.equal(await page.locator("#attributes caption").textContent(), address);
    const rows = await page.locator("#attributes tr").allTextContents();
    for (const attribute of ["id", "geometry", "class", "storeys", "height_m", "first position"]) {
      assert.ok(rows.some((row) => row.startsWith(attribute) && row.length > attribute.length), `${attribute} in ${rows}`);
    }
    assert.equal(await page.locator('#partitions button[aria-current="true"]').count(), 1);
    await page.locator("#feature-filter").fill("civic");
    await until("only civic buildings", async () =>
      (await page.locator("#features .kind").allTextContents()).every((kind) => kind === "civic"),
    );
    await page.locator("#feature-filter").fill("");
    await page.locator("#feature-filter").blur();
    await page.mouse.move(0, 0);
    await quiet(page);
    await picture(page, "inspector-light");
    await readable(page);
    await page.locator("#details-close").click();
    assert.ok(await page.locator("#details").isHidden());
    assert.deepEqual(opened.problems, []);
  });

  test("the keyboard alone reaches and works everything", { timeout }, async () => {
    const active = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");
    const press = (key) => page.keyboard.press(key);
    /** Tabs on until the focus is there; every stop on the way can be seen. */
    const tabTo = async (selector) => {
      for (let presses = 0; presses < 80; presses++) {
        await press("Tab");
        const stop = await page.evaluate((wanted) => {
          const element = document.activeElement;
          // A radio button of a row is not drawn itself, but its label is.
          const drawn = element.matches(".segments input") ? element.nextElementSibling : element;
          const { width, height } = drawn.getBoundingClientRect();
          const { outlineStyle, outlineWidth } = getComputedStyle(drawn);
          const isSeen = width > 0 && height > 0 && outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 1;
          return { isThere: element.matches(wanted), isSeen, name: element.outerHTML.slice(0, 120) };
        }, selector);
        assert.ok(stop.isSeen, `the focus cannot be seen: ${stop.name}`);
        if (stop.isThere) return;
      }
      assert.fail(`${selector} is not reached`);
    };

    await page.evaluate(() => document.activeElement?.blur());
    await page.locator("body").evaluate((body) => {
      body.tabIndex = -1;
      body.focus();
      body.removeAttribute("tabindex");
    });
    await press("Tab");
    assert.equal(await active(), "skip");
    await press("Enter");
    await tabTo("#partitions button");
    for (let downs = 0; downs < 9; downs++) await press("ArrowDown");
    await press("ArrowUp");
    await press("Enter");
    await until("the opened partition has the focus", async () => (await active()) === "details-title");
    await tabTo("#feature-filter");
    await page.keyboard.type("residential");
    await tabTo("#features button");
    await press("ArrowDown");
    await press("Enter");
    const name = await page.locator("#features li:nth-child(2) .name").textContent();
    assert.equal(await page.locator("#attributes caption").textContent(), name);
    await tabTo("#attributes");
    await press("Escape");
    assert.ok(await page.locator("#details").isHidden());
    assert.ok(await page.evaluate(() => document.activeElement?.matches("#partitions li:nth-child(9) button")), "the focus goes back");

    await tabTo("#map canvas");
    const whole = await page.locator("#map").screenshot();
    await press("=");
    await until("the map has zoomed", async () => !whole.equals(await page.locator("#map").screenshot()));
    await tabTo("#zoom-fit");
    await press("Enter");
    await tabTo("#copy");

    await tabTo("#lifetimes input");
    await press("ArrowRight");
    await until("a token of an hour", async () => seconds(await page.locator("#ring-of").textContent()) > 900);
    await tabTo("#fault-buttons button");
    await press("Enter");
    await until("the sandbox fails", async () => (await faults()).length === 1);
    await until("the page reads on by itself", () => page.locator("#live").isChecked());
    await tabTo("#fault-end");
    await press("Enter");
    await until("the sandbox works", async () => (await faults()).length === 0);
    await until("the focus goes back", () => page.evaluate(() => document.activeElement?.matches("#fault-buttons button")));
    await tabTo("#live");
    await press("Space");
    assert.ok(!(await page.locator("#live").isChecked()));

    await page.locator("body").press("Tab");
    await page.locator("#layers input:checked").focus();
    await press("ArrowDown");
    await until("another layer", async () => (await page.locator("#layers input:checked").inputValue()) === "places");
    await loaded(page);
    assert.equal(await number(page, "failures"), 0);
    // There was no new token, and the console said so.
    assert.deepEqual(opened.problems.filter((text) => !text.includes("/getToken?")), []);
  });
});

describe("in dark, with reduced motion", () => {
  let opened;
  let page;

  before(async () => {
    opened = await openPage(browser, server, { colorScheme: "dark", reducedMotion: "reduce" });
    page = opened.page;
    await loaded(page);
  });

  after(() => opened?.close());

  test("it can be read, trouble included", { timeout }, async () => {
    await page.locator("#partitions button").nth(8).click();
    await page.locator("#features button").nth(1).click();
    await page.mouse.move(0, 0);
    await quiet(page);
    await picture(page, "inspector-dark");
    assert.equal(await page.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor), "rgb(14, 19, 23)");
    await page.getByRole("button", { name: "Short tokens" }).click();
    await page.locator("#fault-active:not([hidden])").waitFor();
    await readable(page);
    await setFaults(server, []);
    assert.deepEqual(opened.problems, []);
  });

  test("nothing moves by itself", { timeout }, async () => {
    const moving = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .filter((element) => {
          const { transitionDuration, animationName } = getComputedStyle(element);
          return !/^0s(, 0s)*$/.test(transitionDuration) || animationName !== "none";
        })
        .map((element) => element.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(moving, []);
    // The map jumps to what is chosen: it is still in the next two pictures but one, where a flight takes half a second.
    await page.locator("#zoom-fit").click();
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  });
});

test("it fits a telephone", { timeout }, async () => {
  const opened = await openPage(browser, server, {
    viewport: { width: 390, height: 844 },
    colorScheme: "light",
    hasTouch: true,
    isMobile: true,
  });
  try {
    const { page } = opened;
    await loaded(page);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
    await page.locator("#partitions button").nth(8).tap();
    await page.locator("#features button").nth(1).tap();
    assert.ok((await page.locator("#attributes tr").count()) > 4);
    // WCAG 2.2, 2.5.8: a finger needs 24 pixels.
    const small = await page.evaluate(() =>
      [...document.querySelectorAll("button, select, input:not(.segments input), summary, .segments span")]
        .map((element) => [element.closest("label") ?? element, element])
        .filter(([target]) => target.checkVisibility())
        .filter(([target]) => Math.min(target.getBoundingClientRect().width, target.getBoundingClientRect().height) < 24)
        .map(([, element]) => element.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(small, []);
    await readable(page);
    // Not for the documents.
    if (!process.env.PICTURES) await picture(page, "inspector-phone", { fullPage: true });
    assert.deepEqual(opened.problems, []);
  } finally {
    await opened.close();
  }
});

test("without WebGL the lists have everything", { timeout }, async () => {
  const opened = await openPage(browser, server, {
    before: (page) =>
      page.addInitScript(() => {
        const getContext = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
          return String(kind).startsWith("webgl") ? null : getContext.call(this, kind, ...rest);
        };
      }),
  });
  try {
    const { page, problems } = opened;
    await loaded(page);
    assert.match(await page.locator("#map-note").textContent(), /takes WebGL/);
    await page.locator("#partitions button").nth(8).click();
    await page.locator("#features button").nth(1).click();
    assert.ok((await page.locator("#attributes tr").count()) > 4);
    assert.deepEqual(problems, []);
  } finally {
    await opened.close();
  }
});

async function faults() {
  return (await fetch(`${server.sandbox}/sandbox/faults`)).json();
}

async function picture(page, name, options) {
  const png = await page.screenshot(options);
  assert.ok((await colours(browser, png)) > 200, `${name} is blank`);
  await writeFile(`${PICTURES}/${name}.png`, png);
}

/** WCAG 2.2 AA as axe sees it: contrast, names, roles, order. */
async function readable(page) {
  // Not as a script of the page, whose policy would keep it out.
  await page.evaluate(axe.source);
  const { violations, passes } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  assert.ok(passes.some(({ id }) => id === "color-contrast"), "contrast was not looked at");
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
  assert.deepEqual(told, []);
}
