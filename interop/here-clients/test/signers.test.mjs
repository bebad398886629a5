// The requests of the other tests here are worth something only if they are signed as HERE's SDKs sign them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as cpp from "../support/cpp.mjs";
import * as java from "../support/java.mjs";

const { vectors } = JSON.parse(await readFile(new URL("../data/java-signatures.json", import.meta.url), "utf8"));

const signatureOf = (header) => decodeURIComponent(/oauth_signature="([^"]+)"/.exec(header)[1]);

test("Java's form: all vectors of its own tests, and three of a token request", () => {
  assert.equal(vectors.length, 17);
  for (const { name, signature, not, authorization, ...inputs } of vectors) {
    const found = java.authorization(inputs);
    if (authorization !== undefined) assert.equal(found, authorization, name);
    else if (not !== undefined) assert.notEqual(signatureOf(found), not, name);
    else assert.equal(signatureOf(found), signature, name);
  }
});

test("C++'s form: as plain RFC 5849, where nothing needs encoding", () => {
  const inputs = { url: "https://account.api.here.com/oauth2/token", id: "access-key-id-1234", secret: "plain_Secret-0123456789" };
  const found = cpp.authorization({ ...inputs, timestamp: 1456945283, nonce: "LIIpk4" });
  assert.equal(
    found,
    'OAuth oauth_consumer_key="access-key-id-1234",oauth_nonce="LIIpk4",oauth_signature_method="HMAC-SHA256",oauth_timestamp="1456945283",' +
      'oauth_version="1.0",oauth_signature="qTXW%2B%2FHffMUv63W17p0vhyIPrbzOQ6HJwUMOpsQV3hw%3D"',
  );
});
