// The package as it is installed from a checkout: found by ES modules, CommonJS, and each way that TypeScript resolves names.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-client-"));
  // Without a registry: the folder has all that it needs.
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", root], { cwd: folder, timeout: 120_000 });
});

after(() => rm(folder, { recursive: true }));

test("ES modules and CommonJS get the same names", async () => {
  const print = 'console.log(Object.keys(client).filter((name) => name !== "default" && name !== "module.exports").sort().join())';
  const names = "TokenError,createTokenClient\n";
  const esm = await run(process.execPath, ["--input-type=module", "--eval", `import * as client from "token-provider-client"; ${print}`], { cwd: folder });
  assert.equal(esm.stdout, names);
  const cjs = await run(process.execPath, ["--input-type=commonjs", "--eval", `const client = require("token-provider-client"); ${print}`], { cwd: folder });
  assert.equal(cjs.stdout, names);
});

test("what knows `main` alone gets the CommonJS build", async () => {
  const { main, types } = (await import(`${root}package.json`, { with: { type: "json" } })).default as { main: string; types: string };
  assert.deepEqual([main, types], ["./dist/index.cjs", "./dist/index.d.cts"]);
  await writeFile(join(folder, "old.cjs"), `console.log(typeof require(${JSON.stringify(join(folder, "node_modules/token-provider-client", main))}).createTokenClient)`);
  assert.equal((await run(process.execPath, ["old.cjs"], { cwd: folder })).stdout, "function\n");
});
