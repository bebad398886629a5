// The server, with an identity provider's tokens as the only way in.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startServer } from "../../node/support/command.mjs";

/** Starts `token-provider serve --sandbox` with a configuration file for this issuer. */
export function startServerFor(issuer, { audience, require }) {
  const lines = ["[access.oidc]", `issuer = "${issuer}"`, `audience = ${JSON.stringify([audience].flat())}`];
  if (require) lines.push(`require = ${require}`);
  return startServerWith(lines);
}

/** Starts `token-provider serve --sandbox` with these lines as its configuration file. */
export async function startServerWith(lines) {
  const folder = await mkdtemp(join(tmpdir(), "token-provider-oidc-"));
  const file = join(folder, "token-provider.toml");
  await writeFile(file, `${lines.join("\n")}\n`);
  try {
    const server = await startServer("--sandbox", "--config", file);
    const end = async () => {
      const code = await server.stop();
      await rm(folder, { recursive: true });
      assert.equal(code, 0);
    };
    return { ...server, end };
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  }
}

/** Asks for a token of HERE. */
export async function ask({ origin }, token) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${origin}/getToken?ttl=300`, { headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Asks again and again until the answer is as it should be; returns all answers. */
export async function until(request, isGood) {
  const answers = [];
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    answers.push(await request());
    if (isGood(answers.at(-1))) return answers;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not within 60 s; last: ${JSON.stringify(answers.at(-1))}`);
}
