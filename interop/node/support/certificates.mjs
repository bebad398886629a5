// Certificates for a test, made by openssl, as an administrator would.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** An authority of its own; all of its files are in `folder`, and begin with `name`. */
export function makeAuthority(folder, name) {
  const path = (file) => join(folder, file);
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
  const authority = { cert: path(`${name}.crt`), key: path(`${name}.key`) };
  openssl("req", "-x509", ...newKey, "-keyout", authority.key, "-out", authority.cert, "-days", "91", "-subj", `/CN=${name}`);

  /** A certificate for these names (`DNS:…`, `IP:…`, `URI:…`), for a server or a client. */
  const issue = (file, usage, ...names) => {
    const made = { cert: path(`${name}-${file}.crt`), key: path(`${name}-${file}.key`) };
    const [request, extensions] = [path(`${name}-${file}.csr`), path(`${name}-${file}.ext`)];
    openssl("req", ...newKey, "-keyout", made.key, "-out", request, "-subj", `/CN=${file}`);
    const lines = [
      "basicConstraints = critical, CA:FALSE",
      "keyUsage = critical, digitalSignature",
      `extendedKeyUsage = ${usage}`,
      `subjectAltName = ${names.join(", ")}`,
    ];
    writeFileSync(extensions, `${lines.join("\n")}\n`);
    const signer = ["-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial"];
    openssl("x509", "-req", "-in", request, ...signer, "-days", "90", "-extfile", extensions, "-out", made.cert);
    return made;
  };

  return {
    ...authority,
    server: (...names) => issue("server", "serverAuth", ...names),
    client: (file, ...names) => issue(file, "clientAuth", ...names),
  };
}
