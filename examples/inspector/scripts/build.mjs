// Builds the page and puts it where the server takes it from: one compressed file for each file of the page, and a table
// of them in Rust. With `--check` it changes nothing, and fails when what is there is not what the sources give.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const room = fileURLToPath(new URL("../../../crates/token-provider-server/src/sandbox", import.meta.url));
const files = join(room, "inspector");
const table = join(room, "inspector.rs");

/** Those that the server has a content type for. */
const EXTENSIONS = [".css", ".html", ".js", ".mjs", ".svg", ".txt"];

const built = await buildPage();
const wanted = new Map(Object.entries(built).map(([path, bytes]) => [`${path}.gz`, bytes]));
const rust = rustTable(Object.keys(built));

if (process.argv.includes("--check")) {
  const problems = await differences();
  if (problems.length > 0) {
    console.error(`The built page is not what its sources give; run \`npm run build\`.\n${problems.join("\n")}`);
    process.exit(1);
  }
  console.log(`ok: ${wanted.size} files are what the sources give`);
} else {
  for (const name of await present()) if (!wanted.has(name)) await rm(join(files, name));
  let size = 0;
  for (const [name, bytes] of wanted) {
    await mkdir(dirname(join(files, name)), { recursive: true });
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

function rustTable(paths) {
  const unknown = paths.find((path) => !EXTENSIONS.includes(extname(path)));
  if (unknown) throw new Error(`no content type for ${unknown}`);
  return `${[
    "//! The built page of `examples/inspector`, compressed. Written by `npm run build` there.",
    "",
    "macro_rules! files {",
    '    ($($name:literal,)*) => { &[$(($name, include_bytes!(concat!("inspector/", $name, ".gz")))),*] };',
    "}",
    "",
    "/// Each file's name, and what is in it.",
    "pub(super) const FILES: &[(&str, &[u8])] = files![",
    ...paths.map((path) => `    "${path}",`),
    "];",
  ].join("\n")}\n`;
}

/** The names of the files that are there. */
async function present() {
  const entries = await readdir(files, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(files.length + 1));
}

async function differences() {
  const problems = [];
  for (const [name, bytes] of wanted) {
    const there = await unpacked(name);
    if (!there) problems.push(`${name} is missing`);
    else if (!there.equals(bytes)) problems.push(`${name} is another`);
  }
  for (const name of await present()) if (!wanted.has(name)) problems.push(`${name} is too much`);
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
