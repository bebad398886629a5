// Opens the demonstration at the origin that is given, and prints how long the token that it shows is still valid.

import { createRequire } from "node:module";

import { chromiumOptions, DRAWN_BY_PROCESSOR } from "../node/support/chromium.mjs";

const { chromium } = createRequire(new URL("../../examples/inspector/package.json", import.meta.url))("playwright-core");

const browser = await chromium.launch(chromiumOptions(...DRAWN_BY_PROCESSOR));
try {
  const page = await browser.newPage();
  await page.goto(`${process.argv[2]}/`);
  await page.waitForFunction(() => document.querySelector("#ring-time").textContent.includes(":"));
  const seconds = async (id) => {
    const parts = /(?:(\d+):)?(\d+):(\d+)/.exec(await page.locator(id).textContent());
    return Number(parts?.[1] ?? 0) * 3600 + Number(parts?.[2]) * 60 + Number(parts?.[3]);
  };
  console.log(`${await seconds("#ring-time")} s of a token of ${await seconds("#ring-of")} s`);
} finally {
  await browser.close();
}
