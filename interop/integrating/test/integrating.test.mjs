// The code of docs/integrating.md works: each section with the library that it is for, against a running server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { makeAuthority } from "../../node/support/certificates.mjs";
import { startServer, startSandbox } from "../../node/support/command.mjs";
import { bundle, serve, startChromium } from "../support/browser.mjs";
import { ELSEWHERE, placed, sections } from "../support/document.mjs";
import { startHere } from "../support/here.mjs";

const timeout = 120_000;
const run = promisify(execFile);
const packages = fileURLToPath(new URL("../node_modules", import.meta.url));
const client = fileURLToPath(new URL("../../../clients/typescript", import.meta.url));

const document = new Map((await sections()).map(({ title, blocks }) => [title, blocks]));
const ran = new Set();

let folder;
let key;
let server;
let here;
let browser;
let places;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "token-provider-integrating-"));
  const made = await run(process.env.TOKEN_PROVIDER_BIN, ["key", "new", "--id", "dashboard"], { env: { HOME: folder } });
  key = made.stdout.split("\n")[0];
  const file = join(folder, "token-provider.toml");
  // Who has a key may use it, and who has none gets tokens all the same, as where nothing is configured.
  await writeFile(file, `[access]\nanonymous = true\n${made.stdout.slice(key.length)}`);
  server = await startServer("--sandbox", "--config", file);
  here = await startHere(server.sandbox, makeAuthority(folder, "authority").server("DNS:*.hereapi.com"));
  browser = await startChromium(here.port);
  places = {
    "http://localhost:3000": server.origin,
    'environment: "here"': `environment: "${server.sandbox}/lookup/v1"`,
    "hrn:here:data::olp-here:rib-2": "hrn:here:data::sandbox:port-meridian",
    "topology-geometry": "places",
    "https://config.data.api.platform.here.com/config/v1/catalogs": `${server.sandbox}/hello`,
  };
});

after(async () => {
  await browser?.close();
  await here?.stop();
  if (server) assert.equal(await server.stop(), 0);
  await rm(folder, { recursive: true });
});

/** The code of a section's blocks, at this test's addresses. */
function code(title, language, index = 0) {
  const block = (document.get(title) ?? assert.fail(`no section ${title}`)).filter((block) => block.language === language)[index];
  assert.ok(block, `no ${language} in ${title}`);
  ran.add(block);
  return placed(block.code, places);
}

/** Runs a module in a page until `isDone`; returns the page's console. Nothing may go wrong in it. */
async function inPage(main, isDone, { files = {}, then } = {}) {
  const site = await serve({ "/main.js": main, ...files });
  const page = await browser.newPage();
  try {
    const log = [];
    const problems = [];
    page.on("console", (message) => (message.type() === "error" ? problems : log).push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    here.requests.length = 0;
    const tokenRequests = [];
    page.on("request", (request) => request.url().startsWith(`${server.origin}/getToken`) && tokenRequests.push(request.method()));
    await page.goto(`${site.origin}/`);
    const end = performance.now() + 30_000;
    while (!(await isDone(page, log)) && performance.now() < end && problems.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.deepEqual(problems, []);
    assert.ok(await isDone(page, log), `nothing came: ${JSON.stringify([log, here.requests])}`);
    assert.ok(here.requests.every(({ status }) => status === 200), JSON.stringify(here.requests));
    await then?.(page);
    return { log, tokenRequests: tokenRequests.length };
  } finally {
    await page.close();
    await site.stop();
  }
}

/** Runs a program; its only output is to be this. */
async function prints(expected, command, args, options = {}) {
  const { env, ...rest } = options;
  const { stdout } = await run(command, args, { cwd: folder, timeout: 60_000, env: { PATH: process.env.PATH, HOME: folder, ...env }, ...rest });
  assert.match(stdout.trim(), expected);
}

/** Runs a module of the document's in Node, where `npm install` has been. */
async function inNode(text, expected, env) {
  const modules = join(folder, "node_modules");
  await symlink(packages, modules).catch((error) => assert.equal(error.code, "EEXIST"));
  const file = join(folder, "main.mjs");
  await writeFile(file, text.replaceAll('"token-provider-client"', JSON.stringify(`${client}/dist/index.js`)));
  await prints(expected, process.execPath, [file], { env });
}

/** MapLibre looks for its worker beside the module that it is bundled into. */
async function workers() {
  const names = ["maplibre-gl-worker.mjs", "maplibre-gl-shared.mjs"];
  const texts = await Promise.all(names.map((name) => readFile(`${packages}/maplibre-gl/dist/${name}`, "utf8")));
  return Object.fromEntries(names.map((name, index) => [`/${name}`, texts[index]]));
}

const tiles = (least) => () => here.requests.filter(({ path }) => path.startsWith("/v3/base/mc/")).length >= least;

test("plain JavaScript, without a package and with it", { timeout }, async () => {
  const is200 = (_page, log) => log.includes("200");
  await inPage(code("Plain JavaScript", "js"), is200);
  await inPage(code("Plain JavaScript", "js", 1), is200);
});

test("the package is installed from a checkout, without a registry, and found by its name", { timeout }, async () => {
  const application = await mkdtemp(join(folder, "application-"));
  await symlink(dirname(client), join(application, "clients"));
  await run("bash", ["-euc", code("Plain JavaScript", "sh")], { cwd: application, env: { PATH: process.env.PATH, HOME: folder, npm_config_offline: "true" } });
  const file = join(application, "main.mjs");
  await writeFile(file, code("Node", "js"));
  await prints(/^200$/, process.execPath, [file]);
});

test("Data Inspector: its callback, called by a stand-in", { timeout }, async () => {
  const standIn = `class DataInspector {
    constructor({ getBearerToken }) {
      Promise.all([1, 2, 3].map(async () =>
        (await fetch("${server.sandbox}/hello", { headers: { Authorization: "Bearer " + (await getBearerToken()) } })).status,
      )).then((statuses) => console.log(statuses.join()));
    }
  }\n`;
  const { tokenRequests } = await inPage(await bundle(standIn + code("Data Inspector", "js")), (_page, log) => log.includes("200,200,200"));
  assert.equal(tokenRequests, 1);
});

test("OLP SDK for TypeScript, in a page and in Node", { timeout }, async () => {
  const text = code("OLP SDK for TypeScript", "js");
  const { tokenRequests } = await inPage(await bundle(text), (_page, log) => log.filter((line) => Number(line) > 0).length === 10);
  assert.equal(tokenRequests, 1);
  await inNode(text, /^(\d+\n){9}\d+$/);
});

test("HERE Maps API for JavaScript: a service worker puts the token on a plain <img>", { timeout }, async () => {
  const worker = code("HERE Maps API for JavaScript", "js");
  const page = `${code("HERE Maps API for JavaScript", "js", 1)}
    const tile = new Image();
    tile.onload = () => console.log("loaded", tile.width);
    tile.onerror = () => console.error("no tile");
    tile.src = "https://maps.hereapi.com/v3/base/mc/12/2200/1343/png8";`;
  const files = { "/token-worker.js": worker };
  await inPage(page, (_page, log) => log.includes("loaded 256"), { files });
});

for (const [library, loadsAtLeast] of [["MapLibre GL JS", 1], ["Leaflet", 4], ["OpenLayers", 4]]) {
  test(`${library}: tiles with the token, for one token request`, { timeout }, async () => {
    const { tokenRequests } = await inPage(await bundle(code(library, "js")), tiles(loadsAtLeast), { files: await workers() });
    assert.equal(tokenRequests, 1);
  });
}

test("React: a hook that fetches with the token", { timeout }, async () => {
  const mount = '\nimport { createRoot } from "react-dom/client";\ncreateRoot(document.getElementById("map")).render(<Copyright />);';
  const isShown = async (page) => (await page.locator("#copyright").textContent().catch(() => "")).includes('"HERE"');
  await inPage(await bundle(code("React", "jsx") + mount, "jsx"), isShown);
});

test("xyz-maps: its provider reads with the token, and writes with it", { timeout }, async () => {
  const use = `
    provider.getCopyright(() => console.log("read"));
    provider.commit({ put: [{ type: "Feature", geometry: { type: "Point", coordinates: [13.4, 52.5] }, properties: {} }] }, () => console.log("written"));`;
  const { tokenRequests } = await inPage(await bundle(code("xyz-maps and harp.gl", "js") + use), (_page, log) => log.includes("read") && log.includes("written"));
  assert.equal(tokenRequests, 1);
});

test("Node, with an API key and without", { timeout }, async () => {
  await inNode(code("Node", "js"), /^200$/);
  await inNode(code("Node", "js"), /^200$/, { API_KEY: key });
});

test("Python requests keeps one token for many requests", { timeout }, async () => {
  const many = '\nprint(len({session.get(response.url, timeout=30).request.headers["Authorization"] for _ in range(20)}))';
  await prints(/^200\n1$/, process.env.PYTHON, ["-W", "error", "-c", code("Python requests", "python") + many]);
});

test("Python requests goes on with its token while the server is away", { timeout }, async () => {
  const away = `
import unittest.mock
auth = session.auth
with unittest.mock.patch.object(requests, "get", side_effect=requests.ConnectionError("planted")):
    for later in (0.75, 0.9):
        with unittest.mock.patch.object(time, "monotonic", return_value=auth._end - (1 - later) * 1000):
            auth._due = 0
            print(auth._current() == auth._token)
    with unittest.mock.patch.object(time, "monotonic", return_value=auth._end + 1):
        auth._due = 0
        try:
            auth._current()
        except requests.ConnectionError as error:
            print(error)
`;
  await prints(/^200\nTrue\nTrue\nplanted$/, process.env.PYTHON, ["-c", code("Python requests", "python") + away]);
});

test("Python requests with a server that hangs: one thread waits while there is a token, and it is asked once in a pause", { timeout }, async () => {
  const hanging = `
import socket
from concurrent.futures import ThreadPoolExecutor

auth = session.auth
listener = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
asked = []

def ask():
    asked.append(url)
    return requests.get(url, timeout=3)

def wait(_):
    start = time.monotonic()
    try:
        outcome = auth._current() == held
    except requests.Timeout:
        outcome = "timeout"
    return outcome, time.monotonic() - start >= 2.5

def three():
    with ThreadPoolExecutor(3) as pool:
        start = time.monotonic()
        outcomes = sorted(pool.map(wait, range(3)), key=str)
        return outcomes, time.monotonic() - start < 5.5, len(asked)

held, auth._ask, auth._due = auth._token, ask, 0
print(three())  # one of them waits
print(three())  # a pause: none does
auth._end, auth._due = 0, 0
print(three())  # nothing to use: all wait for the same failure
print(three())  # and are told of it again
`;
  const lines = [
    "200",
    "([(True, False), (True, False), (True, True)], True, 1)",
    "([(True, False), (True, False), (True, False)], True, 1)",
    "([('timeout', True), ('timeout', True), ('timeout', True)], True, 2)",
    "([('timeout', False), ('timeout', False), ('timeout', False)], True, 2)",
  ].map((line) => line.replace(/[()[\]]/g, "\\$&"));
  await prints(new RegExp(`^${lines.join("\n")}$`), process.env.PYTHON, ["-c", code("Python requests", "python") + hanging]);
});

test("Rust: the example programs read with the token, each way there is", { timeout }, async () => {
  // The document's own lines are compiled and run as the library's documentation: `cargo test --doc`.
  code("Rust", "rust");
  const { EXAMPLES } = process.env;
  const hello = `${server.sandbox}/hello`;
  const greeting = /Hello from the HERE sandbox/;
  await prints(new RegExp(`^(200 ${hello}: \\d+ bytes\n?){3}$`), join(EXAMPLES, "middleware"), [`${server.origin}/getToken`, hello, hello, hello], {
    env: { API_KEY: key },
  });
  await prints(greeting, join(EXAMPLES, "get"), [`${server.origin}/getToken`, hello]);

  const sandbox = await startSandbox();
  try {
    await prints(greeting, join(EXAMPLES, "get"), [sandbox.credentials, `${sandbox.origin}/hello`]);
  } finally {
    await sandbox.stop();
  }
  await assert.rejects(prints(/^$/, join(EXAMPLES, "get"), ["nowhere.properties", hello]), /error: .*nowhere\.properties/s);
});

test("curl and the shell", { timeout }, async () => {
  await prints(/Hello from the HERE sandbox/, "bash", ["-euo", "pipefail", "-c", code("curl and the shell", "sh")]);
  const sandbox = await startSandbox();
  try {
    await copyFile(sandbox.credentials, join(folder, "credentials.properties"));
    const PATH = [dirname(process.env.TOKEN_PROVIDER_BIN), process.env.PATH].join(delimiter);
    const command = code("curl and the shell", "sh", 1).replaceAll(server.sandbox, sandbox.origin);
    await prints(/Hello from the HERE sandbox/, "bash", ["-euo", "pipefail", "-c", command], { env: { PATH } });
  } finally {
    await sandbox.stop();
  }
});

test("Postman: the pre-request script, run by its own runner", { timeout }, async () => {
  const { default: newman } = await import("newman");
  const script = code("Postman", "js");
  const collection = {
    info: { name: "hello", schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json" },
    event: [{ listen: "prerequest", script: { exec: script.split("\n") } }],
    item: [{ name: "hello", request: `${server.sandbox}/hello` }],
  };
  const summary = await promisify(newman.run)({ collection });
  assert.deepEqual(summary.run.failures, []);
  // The script's own request is one of them.
  const asked = summary.run.executions.map(({ request, response }) => [request.url.toString(), response.code]);
  assert.deepEqual(asked.at(-1), [`${server.sandbox}/hello`, 200]);
});

test("a standard OAuth 2.0 library, in JavaScript and in Python", { timeout }, async () => {
  const title = "A standard OAuth 2.0 library";
  await inNode(code(title, "js"), /^200$/, { API_KEY: key });
  await prints(/^200$/, process.env.PYTHON, ["-c", code(title, "python")], { env: { API_KEY: key } });
});

test("a refused token is reported from a page, from Python and from the shell", { timeout }, async () => {
  const title = "A service refuses the token";
  await inPage(code(title, "js"), (_page, log) => log.includes("200"));
  await prints(/^200$/, process.env.PYTHON, ["-c", code(title, "python")]);
  await prints(/^200$/, "bash", ["-euo", "pipefail", "-c", code(title, "sh")]);
});

test("all code of the document has been run, but for what other steps run", () => {
  assert.deepEqual(ELSEWHERE.filter((title) => !document.has(title)), []);
  const here = [...document].filter(([title]) => !ELSEWHERE.includes(title));
  const rest = here.flatMap(([title, blocks]) => blocks.filter((block) => !ran.has(block)).map(({ language }) => `${title}: ${language}`));
  assert.deepEqual(rest, []);
});
