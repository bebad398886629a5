// Puts the page together.

import "./style.css";
import { Browser } from "./browser.ts";
import { loadConfig, type Config } from "./config.ts";
import { alertUser, announce, byId, cueScrolling, setText } from "./dom.ts";
import { FaultPanel } from "./faults.ts";
import { MapView } from "./map.ts";
import { Platform, reason } from "./platform.ts";
import { TokenPanel } from "./token-panel.ts";
import { Tokens } from "./tokens.ts";
import { Traffic } from "./traffic.ts";

/** How often a partition is read when the page is told to go on reading. */
const READ_EVERY_MS = 1000;

async function start(): Promise<void> {
  const config = await loadConfig();
  const traffic = new Traffic();
  const tokens = new Tokens(config.tokenUrl, config.ttl, {
    onRequest: (ok) => traffic.addToken(ok),
    onError: (error) => console.info(`no new token (${error.code}); the held one is used while it lasts`),
  });
  new TokenPanel(tokens, traffic);
  setText(byId("how"), example(config));
  byId("copy").addEventListener("click", () => void copyExample());
  for (const side of ["side-data", "center", "side-token"]) cueScrolling(byId(side));
  const platform = new Platform(config, tokens, (ok) => {
    traffic.addData(ok);
    if (ok) tokens.accepted();
  });
  const browser = new Browser(config, platform, (events) => makeMap(config, events));
  keepReading(browser);
  if (config.sandboxOrigin !== undefined) {
    const live = byId<HTMLInputElement>("live");
    byId("about").hidden = false;
    new FaultPanel(config.sandboxOrigin, tokens, () => traffic.reads, {
      onStart: () => {
        traffic.isFaulty = true;
        live.checked = true;
      },
      onEnd: () => (traffic.isFaulty = false),
    });
  }
  await browser.start();
}

function makeMap(config: Config, events: ConstructorParameters<typeof MapView>[1]): MapView | undefined {
  try {
    return new MapView(byId("map"), events, config.view);
  } catch (error) {
    console.info("no map:", error);
    byId("map-note").hidden = false;
    setText(byId("map-note"), "This browser shows no map (it takes WebGL). The lists have everything.");
    return undefined;
  }
}

function keepReading(browser: Browser): void {
  const live = byId<HTMLInputElement>("live");
  let isReading = false;
  setInterval(() => {
    if (!live.checked || isReading) return;
    isReading = true;
    browser
      .readAgain()
      .then(() => alertUser(undefined))
      .catch((error: unknown) => alertUser(`A partition could not be read: ${reason(error)}`))
      .finally(() => (isReading = false));
  }, READ_EVERY_MS);
}

function example({ tokenUrl }: Config): string {
  const { href, origin } = new URL(tokenUrl, location.href);
  return [
    `<script type="module">`,
    `  import { createTokenClient } from "${origin}/client.js";`,
    `  const { getBearerToken } = createTokenClient("${href}");`,
    `  new DataInspector({ getBearerToken }); // or any client with a token callback`,
    `</script>`,
  ].join("\n");
}

async function copyExample(): Promise<void> {
  const code = byId("how");
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    setText(byId("copy"), "Copied");
    announce("Copied.");
    setTimeout(() => setText(byId("copy"), "Copy"), 2000);
  } catch {
    // Not allowed here: what is selected can be copied by hand.
    getSelection()?.selectAllChildren(code);
  }
}

start().catch((error: unknown) => alertUser(`The page could not be started: ${reason(error)}`));
