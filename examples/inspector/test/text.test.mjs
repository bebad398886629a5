// Numbers and times as people read them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { bytes, clock, count, counted, duration } = await load("text.ts");
const { positions } = await load("details.ts");

test("a clock never shows sixty seconds, nor less than nothing", () => {
  const cases = [[-5, "0:00"], [0, "0:00"], [59.4, "0:59"], [59.5, "1:00"], [247, "4:07"], [3599.6, "1:00:00"], [3600, "1:00:00"], [86399, "23:59:59"]];
  for (const [seconds, shown] of cases) assert.equal(clock(seconds), shown, String(seconds));
});

test("spans are told in the largest unit that they are a multiple of", () => {
  const cases = [[1, "1 second"], [20, "20 seconds"], [60, "1 minute"], [90, "90 seconds"], [300, "5 minutes"], [3600, "1 hour"], [7200, "2 hours"]];
  for (const [seconds, told] of cases) assert.equal(duration(seconds), told);
});

test("sizes and counts", () => {
  const cases = [[0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [4813, "4.7 KiB"], [128_000, "125 KiB"], [3_000_000, "2.9 MiB"]];
  for (const [number, shown] of cases) assert.equal(bytes(number), shown);
  assert.equal(count(12_345), "12,345");
  assert.deepEqual([counted(1, "feature"), counted(0, "feature"), counted(2, "city", "cities")], ["1 feature", "0 features", "2 cities"]);
});

test("the positions of any geometry", () => {
  const line = { type: "LineString", coordinates: [[1, 2], [3, 4, 5]] };
  assert.deepEqual(positions(line), [[1, 2], [3, 4]]);
  const polygon = { type: "MultiPolygon", coordinates: [[[[0, 0], [1, 0], [0, 0]]]] };
  assert.equal(positions(polygon).length, 3);
  const both = { type: "GeometryCollection", geometries: [line, { type: "Point", coordinates: [9, 9] }] };
  assert.deepEqual(positions(both), [[1, 2], [3, 4], [9, 9]]);
});
