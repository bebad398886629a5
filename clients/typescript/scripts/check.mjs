// Everything that has to hold before a release, in order; a line for each step, its output only when it fails.
//
// `node scripts/check.mjs built test` runs these steps; package.json has the lists.

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (path) => [process.execPath, [`${root}node_modules/${path}`]];
const run = async ([command, first], ...rest) =>
  (await promisify(execFile)(command, [...first, ...rest], { cwd: root, timeout: 120_000, maxBuffer: 2 ** 24 })).stdout;

/** Bytes of the package in a page: bundled, minified, gzipped. */
const SIZE_LIMIT = 4.5 * 1024;

const steps = {
  build: () => run([process.execPath, []], "scripts/build.mjs"),
  built: () => run([process.execPath, []], "scripts/build.mjs", "--check"),
  async typecheck() {
    await readmeBlocks();
    await run(bin("typescript/bin/tsc"), "-p", "tsconfig.test.json");
    await run(bin("typescript/bin/tsc"), "-p", "tsconfig.readme.json");
    await run(bin("typescript/bin/tsc"), "-p", "tsconfig.consumer.json");
  },
  async test() {
    await rm(`${root}.build/test`, { recursive: true, force: true });
    const files = (await readdir(`${root}test`)).filter((name) => name.endsWith(".test.ts"));
    await build({
      entryPoints: files.map((name) => `${root}test/${name}`),
      outdir: `${root}.build/test`,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      target: "node20",
      sourcemap: "inline",
      logLevel: "error",
    });
    const built = files.map((name) => `.build/test/${name.replace(/\.ts$/, ".mjs")}`);
    const node = [process.execPath, ["--enable-source-maps", "--test", "--test-reporter=spec"]];
    const report = await run(node, ...built).catch((error) => {
      const failing = error.stdout?.split(/^.*failing tests:$/m)[1];
      throw failing ? new Error(failing) : error;
    });
    const count = Number(/^\S+ pass (\d+)$/m.exec(report)?.[1] ?? 0);
    if (count === 0) throw new Error(`no test ran\n${report}`);
    return `${count} tests`;
  },
  async size() {
    const file = await readFile(new URL("../../../crates/token-provider-server/src/http/page/client.js", import.meta.url));
    const size = gzipSync(file, { level: 9 }).length;
    if (size > SIZE_LIMIT) throw new Error(`${size} bytes, the limit is ${SIZE_LIMIT}`);
    return `${size} of ${SIZE_LIMIT} bytes minified and gzipped`;
  },
  publint: () => run(bin("publint/src/cli.js"), "--strict").then(() => ""),
  attw: () => run(bin("@arethetypeswrong/cli/dist/index.js"), "--pack", ".", "--profile", "strict").then(() => ""),
};

/** Writes each ```js block of the README to a file of its own, for the type checker. */
async function readmeBlocks() {
  const readme = await readFile(`${root}README.md`, "utf8");
  await rm(`${root}.build/readme`, { recursive: true, force: true });
  await mkdir(`${root}.build/readme`, { recursive: true });
  const blocks = [...readme.matchAll(/^```(js|jsx|ts)\n(.*?)^```$/gms)];
  if (blocks.length < 5) throw new Error("the README's code blocks were not found");
  await Promise.all(
    blocks.map(([, language, code], index) =>
      // A page has the module from the server; here it is the built one.
      writeFile(
        `${root}.build/readme/block-${index + 1}.${language}`,
        `${code.replace("http://localhost:3000/client.js", "token-provider-client")}\nexport {};\n`,
      ),
    ),
  );
}

for (const name of process.argv.slice(2)) {
  const start = performance.now();
  try {
    const note = await steps[name]();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`ok ${name} (${seconds} s)${note ? `: ${note.trim()}` : ""}`);
  } catch (error) {
    console.error(`FAILED ${name}\n${error.stdout ?? ""}${error.stderr ?? ""}${error.stdout === undefined ? error.message : ""}`);
    process.exit(1);
  }
}
