// testssl.sh looks at the server: what it finds above LOW is explained in SECURITY.md, and is what is listed here.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { startProtected } from "./server.mjs";

/** Most of the time is testssl.sh waiting for answers to what deserves none. */
const timeout = 900_000;

const EXPLAINED = [
  // The page at `/` is compressed. It is the same for everybody; a token never is.
  "BREACH",
  // The test's own authority has no list of certificates that it took back.
  "cert_revocation",
];

test("testssl.sh finds nothing above LOW that is not explained", { timeout }, async (t) => {
  const server = await startProtected({ tls: true });
  t.after(server.end);
  const file = join(server.folder, "testssl.json");
  const flags = ["--quiet", "--color", "0", "--warnings", "off", "--add-ca", server.authority, "--jsonfile", file];
  // What it exits with says how many findings there are, and not whether it worked.
  await promisify(execFile)("testssl", [...flags, server.origin], { maxBuffer: 1 << 24, timeout }).catch(() => {});
  const findings = JSON.parse(await readFile(file, "utf8"));
  assert.ok(findings.some(({ id }) => id === "scanTime"), "it came to its end");
  const found = (...severities) => findings.filter(({ severity }) => severities.includes(severity));
  for (const { severity, id, finding } of found("LOW", "MEDIUM", "HIGH", "CRITICAL")) {
    t.diagnostic(`${severity} ${id}: ${finding}`);
  }
  t.diagnostic(`${found("OK").length} OK, ${found("INFO").length} INFO`);
  const serious = found("MEDIUM", "HIGH", "CRITICAL").map(({ id }) => id);
  assert.deepEqual(serious.filter((id) => !EXPLAINED.includes(id)), []);
  const offered = (id) => findings.find((finding) => finding.id === id)?.finding;
  for (const old of ["SSLv2", "SSLv3", "TLS1", "TLS1_1"]) assert.match(offered(old), /^not offered/, old);
  for (const current of ["TLS1_2", "TLS1_3"]) assert.match(offered(current), /^offered/, current);
});
