// From a partition's bytes to features, or to what can be shown of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { load } from "./support.mjs";

const { decode } = await load("decode.ts");

const blob = (text) => new Uint8Array(Buffer.from(text)).buffer;
const point = { type: "Feature", geometry: { type: "Point", coordinates: [1, 2] }, properties: { name: "Ä" } };

test("GeoJSON, plain or compressed, gives its features", async () => {
  const text = JSON.stringify({ type: "FeatureCollection", features: [point, { type: "Feature", geometry: null }] });
  for (const bytes of [blob(text), new Uint8Array(gzipSync(text)).buffer, blob(JSON.stringify(point))]) {
    assert.deepEqual(await decode(bytes), { kind: "features", features: [point] });
  }
});

test("other text is shown as it is, up to a bound", async () => {
  for (const text of ["a,b\r\n1,2\n", '{"speed":[1,2]}', "{broken", "null", ""]) {
    assert.deepEqual(await decode(blob(text)), { kind: "text", text });
  }
  assert.equal((await decode(blob("x".repeat(5000)))).text.length, 4000);
});

test("bytes that are no text are shown as a hex dump", async () => {
  const message = await decode(Uint8Array.of(0x0a, 0x03, 0x61, 0x62, 0x63, 0x00).buffer);
  assert.equal(message.kind, "bytes");
  assert.match(message.preview, /^0000 {2}0a 03 61 62 63 00 +··abc·$/);
  const long = await decode(new Uint8Array(300).fill(0xff).buffer);
  assert.equal(long.preview.split("\n").length, 16, "256 bytes at 16 a line");
});

test("a broken compressed blob is an error, not an empty partition", async () => {
  const cut = gzipSync("x".repeat(1000)).subarray(0, 12);
  await assert.rejects(decode(new Uint8Array(cut).buffer));
});
