// Builds the page and puts it where the server takes it from: one compressed file for each file of the page, and a table
// of them in Rust. With `--check` it changes nothing, and fails when what is there is not what the sources give.

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = fileURLToPath(new URL("../../../crates/token-provider-server/src/http/page", import.meta.url));
const files = join(page, "inspector");
const table = join(page, "inspector.rs");

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

const built = await buildPage();
const wanted = new Map(Object.entries(built).map(([path, bytes]) => [`${path.replaceAll("/", "-")}.gz`, bytes]));
const rust = rustTable(built);

if (process.argv.includes("--check")) {
  const problems = await differences();
  if (problems.length > 0) {
    console.error(`The built page is not what its sources give; run \`npm run build\`.\n${problems.join("\n")}`);
    process.exit(1);
  }
  console.log(`ok: ${wanted.size} files are what the sources give`);
} else {
  await mkdir(files, { recursive: true });
  for (const name of await readdir(files)) if (!wanted.has(name)) await rm(join(files, name));
  let size = 0;
  for (const [name, bytes] of wanted) {
    // Another zlib compresses to other bytes: what is right already stays as it is.
    if (!(await unpacked(name))?.equals(bytes)) await writeFile(join(files, name), gzipSync(bytes, { level: 9 }));
    size += (await readFile(join(files, name))).length;
  }
  await writeFile(table, rust);
  console.log(`${wanted.size} files, ${(size / 1024).toFixed(0)} KiB compressed`);
}

/** Contents by path below the page's address, in order. */
async function buildPage() {
  const outDir = await mkdtemp(join(tmpdir(), "inspector-"));
  try {
    await build({ root, logLevel: "warn", build: { outDir, emptyOutDir: true } });
    await writeFile(join(outDir, "licences.txt"), await licences());
    const entries = await readdir(outDir, { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const contents = paths.sort().map(async (path) => [path.slice(outDir.length + 1), await readFile(path)]);
    return Object.fromEntries(await Promise.all(contents));
  } finally {
    await rm(outDir, { recursive: true });
  }
}

/** The licences of all packages that may have come into the page, as they want to be passed on with it. */
async function licences() {
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  const parts = [];
  for (const [path, { dev, version }] of Object.entries(lock.packages)) {
    if (path === "" || dev) continue;
    const names = await readdir(join(root, path));
    const found = names.filter((name) => /^(licen[cs]e|notice|copying)/i.test(name)).sort();
    const texts = await Promise.all(found.map((name) => readFile(join(root, path, name), "utf8")));
    const { license } = JSON.parse(await readFile(join(root, path, "package.json"), "utf8"));
    const text = texts.length > 0 ? texts.map((text) => text.trim()).join("\n\n") : `License: ${license}`;
    parts.push(`${path.replace(/^.*node_modules\//, "")} ${version}\n\n${text.replaceAll("\r\n", "\n")}\n`);
  }
  return parts.join(`\n${"-".repeat(80)}\n\n`);
}

function rustTable(contents) {
  const entries = Object.entries(contents).map(([path, bytes]) => {
    const type = TYPES[extname(path)];
    if (!type) throw new Error(`no content type for ${path}`);
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    return [
      "    File {",
      `        path: "/${path === "index.html" ? "" : path}",`,
      `        content_type: "${type}",`,
      `        hash: "${hash}",`,
      `        gzip: include_bytes!("inspector/${path.replaceAll("/", "-")}.gz"),`,
      "    },",
    ];
  });
  return `${[
    "//! The demonstration: the built page of `examples/inspector`, compressed. Written by `npm run build` there.",
    "",
    "use super::File;",
    "",
    "pub(super) const FILES: &[File] = &[",
    ...entries.flat(),
    "];",
  ].join("\n")}\n`;
}

async function differences() {
  const problems = [];
  for (const [name, bytes] of wanted) {
    const there = await unpacked(name);
    if (!there) problems.push(`${name} is missing`);
    else if (!there.equals(bytes)) problems.push(`${name} is another`);
  }
  for (const name of await readdir(files).catch(() => [])) if (!wanted.has(name)) problems.push(`${name} is too much`);
  if ((await readFile(table, "utf8").catch(() => "")) !== rust) problems.push("inspector.rs is another");
  return problems;
}

async function unpacked(name) {
  try {
    return gunzipSync(await readFile(join(files, name)));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}
