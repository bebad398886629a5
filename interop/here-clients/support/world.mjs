// The offline HERE account, and a server in front of it whose callers have a key of `key new --here`, and nothing else.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { loadCredentialsFromFile } from "@here/olp-sdk-authentication";

import { start, startSandbox, stats } from "../../node/support/command.mjs";
import { freePort } from "../../node/support/port.mjs";

const run = promisify(execFile);

export const SCOPE = "hrn:here:authorization::myrealm:project/p1";

/** Runs the program to its end, with nothing of this machine's configuration. */
export async function program(folder, ...args) {
  const options = { cwd: folder, env: { HOME: folder }, timeout: 60_000 };
  return run(process.env.TOKEN_PROVIDER_BIN, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
}

/**
 * Starts both. `config` begins the server's configuration, `policy` goes into the key's stanza; `url` says where callers see
 * the server that is at a port, if not there by plain HTTP.
 */
export async function startWorld({ config = "", policy = "", url } = {}) {
  const ends = [];
  const end = async () => {
    for (const each of ends.reverse()) await each();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), "token-provider-here-clients-"));
    ends.push(() => rm(folder, { recursive: true }));
    const sandbox = await startSandbox();
    ends.push(async () => assert.equal(await sandbox.stop(), 0));
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const key = await makeKey(folder, "maps", url?.(port) ?? origin);
    const audit = join(folder, "audit.jsonl");
    const file = join(folder, "token-provider.toml");
    await writeFile(file, `${config}\n[audit]\nto = "${audit}"\n[profiles.default]\nscopes = ["${SCOPE}"]\n${key.stanza}\n${policy}\n`);
    const listening = (log) => log.some((message) => message.startsWith("listening on "));
    const options = ["--listen", `127.0.0.1:${port}`, "--config", file, "--credentials", sandbox.credentials];
    const server = await start(() => ["serve", ...options], listening);
    ends.push(async () => assert.equal(await server.stop(), 0));
    return {
      ...key,
      audit,
      end,
      folder,
      log: server.log,
      next: server.next,
      origin,
      port,
      sandbox,
      /** What HERE's services say to a token. */
      hello: async (token) => {
        const response = await fetch(`${sandbox.origin}/hello`, { headers: { Authorization: `Bearer ${token}` } });
        return { status: response.status, ...(await response.json()) };
      },
      issued: async () => (await stats(sandbox.origin)).tokens_issued,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Makes a key: `file` is the client's, which has `id`, `secret` and `tokenUrl`; `stanza` is for the server. */
export async function makeKey(folder, name, url) {
  const made = await program(folder, "key", "new", "--here", "--id", name, "--out", folder, "--url", url);
  assert.equal(made.code, 0, made.stderr);
  const file = join(folder, `${name}.properties`);
  const { accessKeyId, accessKeySecret } = loadCredentialsFromFile(file);
  const [, tokenUrl] = /^here\.token\.endpoint\.url\s*=\s*(\S+)$/m.exec(await readFile(file, "utf8"));
  return { file, id: accessKeyId, secret: accessKeySecret, stanza: made.stdout, tokenUrl };
}

/** A secret of the same form that is not this one. */
export const notThis = (secret) => (secret.startsWith("A") ? "B" : "A") + secret.slice(1);
