// Reads the HTTP contract's cases, sends one to a server, and says in what the answer differs. The rules are those of
// crates/token-provider-server/testdata/http/README.md, and so are the words.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import net from "node:net";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../crates/token-provider-server/testdata/http/", import.meta.url));

/** Longer than any answer takes. */
const MAX_WAIT_MS = 10_000;

/** All case files, with their names. */
export async function caseFiles() {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  const read = async (name) => ({ name, ...JSON.parse(await readFile(`${folder}${name}`, "utf8")) });
  const files = await Promise.all(names.map(read));
  for (const file of files) {
    // A rule that is not known here would go unnoticed.
    // (`page` is for the cases that the Rust test derives from these.)
    known(file, ["name", "about", "config", "page", "cases"]);
    for (const { name: _, request, answer, ...rest } of file.cases) {
      known(rest, []);
      known(request, ["method", "target", "pad_target_to", "no_host", "headers", "body"]);
      known(answer, ["status", "headers", "body", "json", "json_token", "token"]);
    }
  }
  return files;
}

/** Sends a case's request on a connection of its own. */
export async function send(request, port) {
  const method = request.method ?? "GET";
  const target = withPort(request.target, port).padEnd(request.pad_target_to ?? 0, "x");
  const headers = (request.headers ?? []).map(([name, value]) => [name, withPort(value, port)]);
  if (!request.no_host && !headers.some(([name]) => name === "Host")) {
    headers.unshift(["Host", `127.0.0.1:${port}`]);
  }
  if (request.body !== undefined) headers.push(["Content-Length", Buffer.byteLength(request.body)]);
  headers.push(["Connection", "close"]);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = await exchange(port, `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${request.body ?? ""}`);
  return { method, ...parse(answer) };
}

/** Throws when the answer is not the expected one. */
export function compare(expected, answer, port) {
  assert.equal(answer.status, expected.status);
  for (const [name, text] of Object.entries(expected.headers ?? {})) {
    if (text === null) assert.equal(answer.headers[name], undefined, `${name} must not be there`);
    else matches(text, answer.headers[name], port, name);
  }
  compareCommon(answer);
  const body = answer.method === "HEAD" || [204, 304].includes(answer.status) ? undefined : answer.body;
  if (body === undefined) {
    assert.equal(answer.body, "");
    return;
  }
  if (expected.body !== undefined) matches(expected.body, body, port, "body");
  if (expected.token !== undefined) compareToken(body, expected.token);
  if (expected.json !== undefined) {
    const found = JSON.parse(body);
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected.json).sort());
    for (const [name, text] of Object.entries(expected.json)) matches(text, String(found[name]), port, name);
    if (expected.json_token !== undefined) compareToken(found.access_token, expected.json_token);
  }
}

/** What every answer has. */
function compareCommon({ method, status, headers, body }) {
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.match(headers.vary, /^Origin, Accept(, Accept-Encoding)?$/);
  assert.ok(headers["x-request-id"], "no X-Request-ID");
  assert.equal(headers["access-control-allow-credentials"], undefined);
  assert.equal(headers["transfer-encoding"], undefined);
  if (![204, 304].includes(status)) {
    assert.match(headers["content-length"] ?? "none", /^\d+$/);
    if (method !== "HEAD") assert.equal(Buffer.byteLength(body), Number(headers["content-length"]));
  }
  if (status < 400) return;
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers["cache-control"], "no-store");
  if (method === "HEAD") return;
  const error = JSON.parse(body);
  assert.deepEqual(Object.keys(error).sort(), ["error", "error_description", "request_id"]);
  assert.equal(error.request_id, headers["x-request-id"]);
}

function compareToken(token, lifetime) {
  assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  const { iat, exp } = JSON.parse(Buffer.from(token.split(".")[0], "base64url"));
  assert.equal(exp - iat, lifetime, "the token's lifetime");
}

/** Compares with a text or a pattern. */
function matches(expected, found, port, what) {
  assert.notEqual(found, undefined, `${what} is missing`);
  if (typeof expected === "object") assert.match(found, new RegExp(expected.matches), what);
  else assert.equal(found, withPort(expected, port), what);
}

function parse(text) {
  const end = text.indexOf("\r\n\r\n");
  assert.notEqual(end, -1, `not an HTTP answer: ${JSON.stringify(text)}`);
  const [statusLine, ...lines] = text.slice(0, end).split("\r\n");
  const headers = {};
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? assert.fail(`not a header: ${line}`);
    // RFC 9110 section 5.2: the same name twice is one list.
    const key = name.toLowerCase();
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
  }
  const [, status] = /^HTTP\/1\.1 (\d{3})( |$)/.exec(statusLine) ?? assert.fail(`not a status line: ${statusLine}`);
  return { status: Number(status), headers, body: text.slice(end + 4) };
}

/** All that comes until the server closes the connection. */
function exchange(port, bytes) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    const socket = net.connect({ host: "127.0.0.1", port, timeout: MAX_WAIT_MS }, () => socket.write(bytes));
    socket
      .on("data", (chunk) => chunks.push(chunk))
      .on("end", () => resolve(Buffer.concat(chunks).toString()))
      .on("timeout", () => socket.destroy(new Error("the server neither answers nor closes the connection")))
      .on("error", reject);
  });
}

const withPort = (text, port) => text.replaceAll("{port}", port);

function known(object, keys) {
  const unknown = Object.keys(object).filter((key) => !keys.includes(key));
  assert.deepEqual(unknown, [], "keys of a case that this test does not know");
}
