// The server as it would stand on a network: with TLS, or behind a proxy that speaks it, and an API key for its callers.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { makeAuthority } from "../node/support/certificates.mjs";
import { startServer } from "../node/support/command.mjs";

export async function startProtected({ tls }) {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-hostile-"));
  const key = `tp_${randomBytes(32).toString("base64url")}`;
  const hash = createHash("sha256").update(key).digest("hex");
  const lines = ["[[access.api_keys]]", 'id = "dashboard"', `sha256 = "${hash}"`];
  let authority;
  if (tls) {
    authority = makeAuthority(folder, "company");
    const made = authority.server("DNS:localhost", "IP:127.0.0.1");
    lines.push("[tls]", `cert = "${made.cert}"`, `key = "${made.key}"`);
  }
  const config = join(folder, "token-provider.toml");
  await writeFile(config, `${lines.join("\n")}\n`);
  const server = await startServer("--sandbox", "--config", config);
  const end = async () => {
    assert.equal(await server.stop(), 0);
    await rm(folder, { recursive: true });
  };
  return { authority: authority?.cert, ca: authority && (await readFile(authority.cert)), end, folder, key, origin: server.origin };
}
