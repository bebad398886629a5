// https-page.mjs ORIGIN PROVIDER: a page of that origin, on what the browser takes for a public address, asks the provider on loopback
// for a token, without the user's permission and with it. Prints what it gets.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromiumOptions } from "../node/support/chromium.mjs";

const { chromium } = createRequire(new URL("../../examples/inspector/package.json", import.meta.url))("playwright-core");
const [origin, provider] = process.argv.slice(2);
const { hostname } = new URL(origin);

const folder = mkdtempSync(join(tmpdir(), "token-provider-https-"));
const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${hostname}`,
  "-keyout", key, "-out", cert], { stdio: "ignore" });
const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
  response.setHeader("Content-Type", "text/html");
  response.end("<!doctype html><title>The page</title>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();
// The page keeps its origin, without a port; the address it comes from counts as public.
const browser = await chromium.launch(
  chromiumOptions(`--host-resolver-rules=MAP ${hostname}:443 127.0.0.1:${port}`, `--ip-address-space-overrides=127.0.0.1:${port}=public`),
);
const found = {};
for (const [name, permissions] of [["without", []], ["with", ["local-network-access"]]]) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  if (permissions.length > 0) await context.grantPermissions(permissions, { origin });
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  found[name] = await page.evaluate(
    async (url) => {
      try {
        return (await fetch(url)).status;
      } catch (error) {
        return error.name;
      }
    },
    `${provider}/getToken`,
  );
  await context.close();
}
console.log(JSON.stringify(found));
await browser.close();
server.close();
rmSync(folder, { recursive: true });
