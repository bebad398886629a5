// What the page is told about its surroundings is checked before it is used.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { parseConfig } = await load("config.ts");

test("nothing at all stands for HERE itself, with the token-provider that served the page", () => {
  assert.deepEqual(parseConfig({}), {
    tokenUrl: "/getToken",
    ttl: 3600,
    environment: "here",
    catalogHrn: undefined,
    layer: undefined,
    context: [],
    autoload: false,
    listUpTo: 1000,
    view: undefined,
    sandboxOrigin: undefined,
  });
});

test("a look-up service of one's own goes before the environment's", () => {
  assert.equal(parseConfig({ environment: "here-cn" }).environment, "here-cn");
  const lookupUrl = "https://api-lookup.example.com/lookup/v1";
  assert.equal(parseConfig({ environment: "here-cn", lookupUrl }).environment, lookupUrl);
});

test("what is of the wrong kind is named", () => {
  const cases = [
    [null, "is not an object"],
    ["text", "is not an object"],
    [{ tokenUrl: 5 }, "tokenUrl is not a text"],
    [{ catalogHrn: ["hrn"] }, "catalogHrn is not a text"],
    [{ ttl: "3600" }, "ttl is not a number"],
    [{ listUpTo: Number.NaN }, "listUpTo is not a number"],
    [{ view: [1, 2] }, "view is not [longitude, latitude, zoom]"],
    [{ view: [1, 2, "3"] }, "view is not [longitude, latitude, zoom]"],
  ];
  for (const [given, message] of cases) {
    assert.throws(() => parseConfig(given), (error) => error.message.includes(message), JSON.stringify(given));
  }
});
