// The HTTP contract, case by case, against the program as people run it.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { caseFiles, compare, send } from "../support/cases.mjs";
import { startServer } from "../support/command.mjs";

const files = await caseFiles();

test("the case files are there", () => {
  assert.ok(files.length >= 12, `only ${files.length} case files`);
});

for (const { name, config, cases } of files) {
  test(name, { timeout: 60_000 }, async (t) => {
    assert.ok(cases.length > 0);
    const folder = await mkdtemp(join(tmpdir(), "token-provider-cases-"));
    t.after(() => rm(folder, { recursive: true }));
    const options = ["--sandbox"];
    if (config) {
      options.push("--config", join(folder, "token-provider.toml"));
      await writeFile(options.at(-1), `${config.join("\n")}\n`);
    }
    const server = await startServer(...options);
    t.after(async () => assert.equal(await server.stop(), 0));
    const { port } = new URL(server.origin);
    for (const { name, request, answer } of cases) {
      await t.test(name, async () => compare(answer, await send(request, port), port));
    }
  });
}

test("comparing finds what is wrong", () => {
  const headers = {
    "x-content-type-options": "nosniff",
    vary: "Origin, Accept",
    "x-request-id": "1",
    "content-type": "application/json",
    "cache-control": "no-store",
  };
  const answer = (status, body, changed = {}) => ({
    method: "GET",
    status,
    headers: { ...headers, "content-length": String(Buffer.byteLength(body)), ...changed },
    body,
  });
  const good = answer(200, '{"n":5}', { a: "1" });
  const error = '{"error":"e","error_description":"d","request_id":"1"}';
  const holds = [
    [{ status: 200 }, good],
    [{ status: 200, headers: { a: "1", b: null } }, good],
    [{ status: 200, json: { n: "5" } }, good],
    [{ status: 200, body: { matches: "^.n*" } }, good],
    [{ status: 400 }, answer(400, error)],
  ];
  const fails = [
    [{ status: 201 }, good],
    [{ status: 200, headers: { a: "2" } }, good],
    [{ status: 200, headers: { a: null } }, good],
    [{ status: 200, headers: { b: "1" } }, good],
    [{ status: 200, json: {} }, good],
    [{ status: 200, json: { n: "6" } }, good],
    [{ status: 200, json: { n: "5", m: "5" } }, good],
    [{ status: 200, body: "x" }, good],
    [{ status: 200, token: 60 }, good],
    [{ status: 200 }, answer(200, "{}", { "content-length": "3" })],
    [{ status: 200 }, answer(200, "{}", { vary: "Origin" })],
    [{ status: 200 }, answer(200, "{}", { "access-control-allow-credentials": "true" })],
    [{ status: 400 }, answer(400, error, { "cache-control": undefined })],
    [{ status: 400 }, answer(400, error.replace("1", "2"))],
    [{ status: 400 }, answer(400, "{}")],
  ];
  for (const [expected, found] of holds) compare(expected, found, "1");
  for (const [expected, found] of fails) {
    assert.throws(() => compare(expected, found, "1"), assert.AssertionError, JSON.stringify([expected, found]));
  }
});
