// What a map costs the token provider: the plain version (one `fetch` for each call) beside this package.
//
// Usage: node bench/per-tile.mjs [tiles] [milliseconds to the provider]     (after `npm run build`)
// Everything runs in this process, on loopback; six requests at a time, as a browser does over HTTP/1.1.

import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { createTokenClient } from "token-provider-client";

const tiles = Number(process.argv[2] ?? 500);
const distance = Number(process.argv[3] ?? 20);
const AT_A_TIME = 6;

const listen = (answer) =>
  new Promise((resolve) => {
    const server = createServer(answer);
    server.listen(0, "127.0.0.1", () => resolve({ server, url: `http://127.0.0.1:${server.address().port}` }));
  });

let tokenRequests = 0;
const provider = await listen(async (_request, response) => {
  tokenRequests++;
  await delay(distance);
  // As long as a HERE token.
  response.setHeader("Token-Expires-In", "3600").end(`token-${"x".repeat(800)}`);
});
const data = await listen((request, response) => response.writeHead(request.headers.authorization ? 200 : 401).end("tile"));

async function load(name, getToken) {
  tokenRequests = 0;
  const times = [];
  let next = 0;
  const worker = async () => {
    while (next < tiles) {
      const tile = next++;
      const start = performance.now();
      const headers = { Authorization: `Bearer ${await getToken()}` };
      const response = await fetch(`${data.url}/${tile}`, { headers });
      if (!response.ok) throw new Error(`tile ${tile}: ${response.status}`);
      await response.arrayBuffer();
      times.push(performance.now() - start);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  const total = performance.now() - start;
  times.sort((a, b) => a - b);
  return {
    version: name,
    tiles,
    "token requests": tokenRequests,
    "all tiles, ms": Math.round(total),
    "median tile, ms": Number(times[Math.floor(times.length / 2)].toFixed(1)),
  };
}

const url = `${provider.url}/getToken?ttl=3600`;
const plain = await load("one fetch per call", async () => (await fetch(url)).text());
const ours = await load("token-provider-client", createTokenClient(url).getToken);
console.table([plain, ours]);

for (const { server } of [provider, data]) {
  server.close();
  server.closeAllConnections();
}
// A check as well as a figure: the plain version asks once for each tile, ours once.
if (plain["token requests"] !== tiles || ours["token requests"] !== 1) process.exit(1);
