// The company's network on one machine: callers at 127.0.0.2, nginx and token-provider at 127.0.0.1, strangers elsewhere.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { request as httpsRequest } from "node:https";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { makeAuthority } from "../node/support/certificates.mjs";
import { startServer } from "../node/support/command.mjs";
import { freePort } from "../node/support/port.mjs";

export const CALLER = "127.0.0.2";
export const STRANGER = "127.0.0.3";
export const NAME = "tokens.example.com";

const USERS = { "session=of-alice": "alice", "session=of-bob": "bob", "session=of-carol": "carol" };
const GROUPS = { carol: "staff, admins" };

/** Starts all three; `nginx` and `direct` ask through the proxy and past it. */
export async function startCompany() {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-nginx-"));
  const ends = [() => rm(folder, { recursive: true })];
  const end = async () => {
    for (const each of ends.reverse()) await each();
  };
  try {
    const audit = join(folder, "audit.jsonl");
    const config = join(folder, "token-provider.toml");
    await writeFile(config, configuration(audit));
    // Started by root, nginx is somebody else.
    await chmod(folder, 0o711);
    const socket = `unix:${join(folder, "token-provider.sock")},mode=0666`;
    const server = await startServer("--sandbox", "--config", config, "--listen", socket);
    ends.push(async () => assert.equal(await server.stop(), 0));
    const signIn = await startSignIn();
    ends.push(signIn.stop);
    const proxy = await startNginx(folder, { signIn: signIn.address, server: new URL(server.origin).host });
    ends.push(proxy.stop);
    return {
      audit,
      end,
      log: server.log,
      signIn,
      nginx: (options) => ask(httpsRequest, { port: proxy.port, ca: proxy.ca, servername: NAME, ...options }),
      direct: (options) => ask(httpRequest, { port: new URL(server.origin).port, ...options }),
    };
  } catch (error) {
    await end();
    throw error;
  }
}

const configuration = (audit) => `
public_hosts = ["${NAME}"]
[cors]
origins = ["https://maps.example.com"]
[access.trusted_proxy]
from = ["127.0.0.1"]
header = "X-Remote-User"
groups_header = "X-Groups"
max_ttl = "15m"
[[access.trusted_proxy.rules]]
groups = ["admins"]
max_ttl = "1h"
[[access.trusted_proxy.rules]]
users = ["*"]
[audit]
to = "${audit}"
`;

/** The service that knows who is signed in, by a cookie. */
async function startSignIn() {
  const asked = [];
  const server = createServer((request, response) => {
    const user = USERS[request.headers.cookie];
    asked.push(user);
    response.writeHead(user ? 200 : 401, user ? { "x-user": user, "x-groups": GROUPS[user] ?? "" } : {}).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { address: `127.0.0.1:${server.address().port}`, asked, stop };
}

async function startNginx(folder, { signIn, server }) {
  const { cert: authority, server: issue } = makeAuthority(folder, "company");
  const { cert, key } = issue(`DNS:${NAME}`);
  const port = await freePort();
  await writeFile(join(folder, "token-provider.conf"), await documented({ "127.0.0.1:3000": server, "127.0.0.1:8080": signIn }));
  const values = { folder, port, cert, key, "token-provider": server };
  const template = await readFile(new URL("nginx.conf", import.meta.url), "utf8");
  const file = join(folder, "nginx.conf");
  await writeFile(file, template.replace(/@([a-z-]+)@/g, (name, key) => values[key] ?? name));
  // Debian has it where only root looks. Without `-e`, it would open the system's own log first.
  const env = { PATH: `${process.env.PATH}:/usr/sbin` };
  const child = spawn("nginx", ["-p", folder, "-e", "stderr", "-c", file], { env, stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "exit");
  ended.catch(() => {});
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log += text;
  });
  await isListening(port, child).catch((error) => {
    kill();
    throw new Error(`nginx: ${error.message}\n${log}`);
  });
  const stop = async () => {
    child.kill("SIGQUIT");
    await ended;
    process.off("exit", kill);
  };
  return { port, ca: await readFile(authority), stop };
}

/** What the documentation shows, with other addresses. */
async function documented(addresses) {
  let text = await readFile(new URL("../../deploy/nginx/token-provider.conf", import.meta.url), "utf8");
  for (const [place, own] of Object.entries(addresses)) {
    assert.equal(text.split(place).length, 2, place);
    text = text.replace(place, own);
  }
  return text;
}

async function isListening(port, child) {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(20)) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`);
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch {
      // Not yet.
    } finally {
      socket.destroy();
    }
  }
  throw new Error("does not listen");
}

/** One request on a connection of its own, from an address of the caller's choice. */
async function ask(request, { from = CALLER, path = "/getToken", host = NAME, headers = {}, ...options }) {
  const sent = request({ host: "127.0.0.1", localAddress: from, path, headers: { host, ...headers }, agent: false, ...options });
  sent.end(options.body);
  const [response] = await once(sent, "response", { signal: AbortSignal.timeout(10_000) });
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece;
  return { status: response.statusCode, headers: response.headers, text };
}
