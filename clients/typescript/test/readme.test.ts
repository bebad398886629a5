// The README's code where its types do not tell whether it is right.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

type Transform = (url: string) => { url: string; headers?: Record<string, string> };

test("transformRequest that cannot wait sends a token or none, and never the word undefined", async () => {
  // The tests are built into a folder two below the package's.
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const block = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!).find((code) => code.includes("peekToken()"));
  const code = block!.replace(/^import .*$/gm, "").replace("const map = new Map(", "return (");
  let held: string | undefined;
  const createTokenClient = () => ({ getToken: async () => held, peekToken: () => held });
  const body = `return (async () => {${code}})()`;
  const { transformRequest } = (await new Function("createTokenClient", body)(createTokenClient)) as { transformRequest: Transform };

  const url = "https://vector.hereapi.com/tile";
  assert.deepEqual(transformRequest(url), { url });
  held = "token-1";
  assert.deepEqual(transformRequest(url), { url, headers: { Authorization: "Bearer token-1" } });
  const elsewhere = "https://tiles.example/tile";
  assert.deepEqual(transformRequest(elsewhere), { url: elsewhere });
});
