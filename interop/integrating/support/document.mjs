// The code of docs/integrating.md, by section, and the addresses that stand for HERE's here.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const DOCUMENT = new URL("../../../docs/integrating.md", import.meta.url);

/** The sections whose code `ci/check here-clients` runs, but for languages that it has no compiler or no library for. */
export const HERE_CLIENTS = [
  "HERE's own SDKs, without code",
  "Java and Scala",
  "C++",
  "Python: here-location-services",
  "TypeScript: olp-sdk-authentication",
  "Other OAuth 1.0 clients",
];

/** Those whose code `ci/check docs` or `interop-envoy` runs, and those that nobody does. */
export const ELSEWHERE = [...HERE_CLIENTS, "A token in a file", "Envoy", "Kong"];

/** All sections with code: `[{ title, blocks: [{ language, code }] }]`. */
export async function sections() {
  const text = await readFile(DOCUMENT, "utf8");
  const found = text.split(/^## /m).slice(1).map((section) => ({
    title: section.slice(0, section.indexOf("\n")),
    blocks: [...section.matchAll(/^```(\w+)[^\n]*\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, code })),
  }));
  assert.ok(found.length > 10, "the sections were not found");
  return found.filter(({ blocks }) => blocks.length > 0);
}

/** Puts a test's places in the place of the document's. */
export function placed(code, places) {
  return Object.entries(places).reduce((text, [from, to]) => text.replaceAll(from, to), code);
}
