// The audit trail of a server under test: a file with an object in each line.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** Waits until the file has at least `count` lines for which `isWanted` holds, and returns those. */
export async function auditLines(file, count, isWanted = () => true) {
  let lines = [];
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(20)) {
    const text = await readFile(file, "utf8").catch(() => "");
    // What follows the last line end is a line that is being written.
    lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line)).filter(isWanted);
    if (lines.length >= count) return lines;
  }
  throw new Error(`expected ${count} lines in the audit trail, found ${JSON.stringify(lines)}`);
}
