// Lets Node run the page's TypeScript: Vite transforms it, as in the build.

import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
// As in vite.config.ts, which is not read here.
const client = fileURLToPath(new URL("../../../clients/typescript/src/index.ts", import.meta.url));

/** Imports a module of `src`. */
export async function load(name) {
  const options = { root, resolve: { alias: { "token-provider-client": client } }, logLevel: "error" };
  const { module } = await runnerImport(`${root}src/${name}`, options);
  return module;
}
