// What people are told where HERE's SDK rejects.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { reason } = await load("platform.ts");

test("an error is told in words, and never as JSON", () => {
  const table = [
    [new Error("no catalog"), "no catalog"],
    ["a text", "a text"],
    [new Error('{"title":"Unauthorized","status":401,"code":"E1"}'), "Unauthorized"],
    [new Error('Failed: {"error":"access_denied","error_description":"origin: may not ask"}'), "origin: may not ask"],
    [new Error('{"status":503}'), "HTTP 503"],
    [new Error('The answer was {"no":"words"}'), "The answer was"],
    [new Error("{not JSON}"), "no reason was given"],
    [new Error(""), "no reason was given"],
    [new Error("x".repeat(300)), `${"x".repeat(200)}…`],
  ];
  for (const [error, told] of table) assert.equal(reason(error), told);
});
