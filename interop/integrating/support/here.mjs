// Stands for HERE's services that the sandbox does not have: answers whatever it is asked, but only with a token that the sandbox
// takes.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import { deflateSync } from "node:zlib";

/** Starts it, with this certificate; `requests` tells what was asked for and how it was answered. */
export async function startHere(sandbox, certificate) {
  const requests = [];
  const [cert, key] = await Promise.all([readFile(certificate.cert), readFile(certificate.key)]);
  const server = createServer({ cert, key }, async (request, response) => {
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "authorization, content-type" };
    if (request.method === "OPTIONS") return response.writeHead(204, headers).end();
    const { authorization } = request.headers;
    const verdict = authorization ? await fetch(`${sandbox}/hello`, { headers: { authorization } }) : { status: 401 };
    requests.push({ path: request.url, status: verdict.status });
    if (verdict.status !== 200) return response.writeHead(401, headers).end();
    const isTile = request.url.includes("/png8");
    response.writeHead(200, { ...headers, "Content-Type": isTile ? "image/png" : "application/json" });
    response.end(isTile ? TILE : '{"copyrights":["HERE"]}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: server.address().port, requests, stop };
}

const TILE = png(256, 256);

/** A grey picture. */
function png(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const pixels = Buffer.alloc(height * (width + 1), 0x99);
  for (let row = 0; row < height; row++) pixels[row * (width + 1)] = 0;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
}

function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}
