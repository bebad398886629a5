// A real Chromium over a real `token-provider serve --sandbox`: nothing is mocked but, in some tests, the page's clock.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

import { chromiumOptions, DRAWN_BY_PROCESSOR } from "../../../interop/node/support/chromium.mjs";
import { startServer, stats } from "../../../interop/node/support/command.mjs";

export { startServer, stats };

/** Longest wait for what comes at once on an idle machine. */
export const PATIENCE_MS = 60_000;

/** Requests of each page that are under way. */
const underWay = new WeakMap();

/** Starts Chromium with a profile of its own. */
export async function startChromium() {
  return chromium.launch(chromiumOptions(...DRAWN_BY_PROCESSOR));
}

/**
 * Opens the page, and notes whatever goes wrong in it: errors and warnings of the console, uncaught errors, violations of
 * the Content-Security-Policy, requests that fail or go to anybody else.
 */
export async function openPage(browser, server, options = {}) {
  const { fakeClock = false, before, ...context } = options;
  const opened = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...context });
  opened.setDefaultTimeout(PATIENCE_MS);
  const page = await opened.newPage();
  const problems = [];
  const requests = new Set();
  underWay.set(page, requests);
  page.on("request", (request) => requests.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => requests.delete(request));
  const ours = [server.origin, server.sandbox];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => problems.push(`uncaught: ${error}`));
  page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && !ours.includes(origin)) problems.push(`another host: ${request.url()}`);
  });
  await page.exposeFunction("tellViolation", (text) => problems.push(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  if (fakeClock) await page.clock.install();
  await before?.(page);
  await page.goto(`${server.origin}/`);
  return { page, problems, close: () => opened.close() };
}

/** Waits until all partitions of the first layer, and what lies around them, are loaded. */
export async function loaded(page) {
  await page.waitForFunction(
    () => {
      const partitions = [...document.querySelectorAll("#partitions button")];
      return partitions.length > 0 && partitions.every((button) => button.classList.contains("loaded"));
    },
    undefined,
    { polling: 200 },
  );
  await quiet(page);
}

/** Waits until no request is under way, and the count of data requests stands still. */
export async function quiet(page) {
  let last = -1;
  await until("quiet", async () => {
    const now = await number(page, "data-requests");
    const isQuiet = now === last && underWay.get(page).size === 0;
    last = now;
    if (!isQuiet) await new Promise((resolve) => setTimeout(resolve, 300));
    return isQuiet;
  });
}

/** A figure of the token panel. */
export async function number(page, id) {
  return Number((await page.locator(`#${id}`).textContent()).replaceAll(",", ""));
}

/** Asks again and again until it is so. */
export async function until(what, isSo) {
  const end = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > end) assert.fail(`${what}: not within ${PATIENCE_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** `4:07` in seconds. */
export function seconds(text) {
  const parts = /(\d+:)?\d+:\d\d/.exec(text)?.[0].split(":") ?? assert.fail(`no time: ${text}`);
  return parts.reduce((sum, part) => 60 * sum + Number(part), 0);
}

/** How many different colours a picture (PNG) has; a blank one has one. Counted in a page of its own. */
export async function colours(browser, png) {
  const page = await browser.newPage();
  try {
    return await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const context = canvas.getContext("2d");
      context.drawImage(picture, 0, 0);
      return new Set(new Uint32Array(context.getImageData(0, 0, picture.width, picture.height).data.buffer)).size;
    }, png.toString("base64"));
  } finally {
    await page.close();
  }
}

/** Makes the sandbox misbehave, as its control endpoint takes it; nothing ends it. */
export async function setFaults({ sandbox }, faults) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`${sandbox}/sandbox/faults`, { method: "PUT", headers, body: JSON.stringify(faults) });
  assert.ok(response.ok, `faults: ${response.status}`);
}
