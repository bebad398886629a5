// Pages in Chromium, on this machine, for which HERE's hosts are a server of the test's.

import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

import { chromiumOptions, DRAWN_BY_PROCESSOR } from "../../node/support/chromium.mjs";

const CLIENT = fileURLToPath(new URL("../../../clients/typescript/dist/index.js", import.meta.url));
const HERE = fileURLToPath(new URL("..", import.meta.url));

/** Starts a browser; `herePort` is where HERE's services are. */
export function startChromium(herePort) {
  const hosts = ["*.hereapi.com", "*.platform.here.com"].map((host) => `MAP ${host}:443 127.0.0.1:${herePort}`);
  const names = `--host-resolver-rules=${hosts.join(",")}`;
  // Its certificate is of an authority that nobody knows.
  return chromium.launch(chromiumOptions(names, "--ignore-certificate-errors", ...DRAWN_BY_PROCESSOR));
}

/** Bundles a module with the libraries that it imports, as an application's own build would. */
export async function bundle(code, loader = "js") {
  const { outputFiles } = await build({
    stdin: { contents: code, loader, resolveDir: HERE },
    alias: { "token-provider-client": CLIENT },
    bundle: true,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

/** Serves a page that runs `/main.js`, and these other files. */
export async function serve(files) {
  const page = '<!doctype html><link rel="icon" href="data:,"><div id="map" style="width:512px;height:512px"></div><script type="module" src="/main.js"></script>';
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const body = pathname === "/" ? page : files[pathname];
    const type = pathname === "/" ? "text/html" : "text/javascript";
    response.writeHead(body === undefined ? 404 : 200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, stop };
}
