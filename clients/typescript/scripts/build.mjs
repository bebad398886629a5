// Builds dist/: one ES module (a page can import it as it is), its source map, and the declarations.

import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
await rm(`${root}dist`, { recursive: true, force: true });
await Promise.all([
  build({
    entryPoints: [`${root}src/index.ts`],
    outfile: `${root}dist/index.js`,
    bundle: true,
    format: "esm",
    target: "es2022",
    sourcemap: "linked",
    logLevel: "error",
  }),
  promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root]).catch((error) => {
    throw new Error(error.stdout || error.message);
  }),
]);
