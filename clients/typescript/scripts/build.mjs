// Builds what is checked in, so that neither a page, nor a folder that npm links, nor the server needs a build: dist/, an ES
// module and a CommonJS one with their declarations, and the small ES module that the server has at /client.js.
// With `--check` it changes nothing, and fails when what is there is not what the sources give.

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const served = fileURLToPath(new URL("../../../crates/token-provider-server/src/http/page/client.js", import.meta.url));
const { name, version, license } = JSON.parse(await readFile(`${root}package.json`, "utf8"));
const banner = `/*! ${name} ${version}, SPDX-License-Identifier: ${license} */`;

const [esm, cjs, small, types] = await Promise.all([
  bundle({ format: "esm" }),
  bundle({ format: "cjs" }),
  bundle({ format: "esm", minify: true }),
  declarations(),
]);
const wanted = {
  [`${root}dist/index.js`]: esm,
  [`${root}dist/index.cjs`]: cjs,
  [`${root}dist/index.d.ts`]: types,
  [`${root}dist/index.d.cts`]: types,
  [served]: small,
};

if (process.argv.includes("--check")) {
  const problems = [];
  for (const [path, text] of Object.entries(wanted)) {
    if ((await readFile(path, "utf8").catch(() => undefined)) !== text) problems.push(`${path} is not what the sources give`);
  }
  for (const file of await readdir(`${root}dist`).catch(() => [])) if (!(`${root}dist/${file}` in wanted)) problems.push(`dist/${file} is too much`);
  if (problems.length) {
    console.error(`${problems.join("\n")}\nRun \`npm run build\`.`);
    process.exit(1);
  }
} else {
  await rm(`${root}dist`, { recursive: true, force: true });
  await mkdir(`${root}dist`);
  for (const [path, text] of Object.entries(wanted)) await writeFile(path, text);
}

async function bundle(options) {
  const { outputFiles } = await build({
    entryPoints: [`${root}src/index.ts`],
    bundle: true,
    target: "es2022",
    // Written out where a name is not ASCII, so that the file is right whatever a server says of its encoding.
    charset: "ascii",
    banner: { js: banner },
    write: false,
    logLevel: "error",
    ...options,
  });
  return outputFiles[0].text;
}

/** The declarations as one file, because those of CommonJS and of ES modules must not name each other's parts. */
async function declarations() {
  const out = `${root}.build/types/`;
  await rm(out, { recursive: true, force: true });
  await promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root, "--outDir", out]).catch((error) => {
    throw new Error(error.stdout || error.message);
  });
  const parts = await Promise.all(["error", "types", "client"].map((part) => readFile(`${out}${part}.d.ts`, "utf8")));
  return `${banner}\n${parts.join("").replace(/^import .*\n/gm, "")}`;
}
