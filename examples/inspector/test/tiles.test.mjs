// HERE's tiles: names, edges, and what is in view.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support.mjs";

const { boundsOf, tileOf, tilesWithin, union } = await load("tiles.ts");

test("a partition's name is its tile, where it is one", () => {
  const tile = tileOf("1300353171");
  assert.equal(tile.level, 15);
  assert.equal(tile.toHereTile(), "1300353171");
  for (const name of ["", "0", "abc", "12x", "-5", "01300353171", "99999999999999999999"]) {
    assert.equal(tileOf(name), undefined, name);
  }
});

test("edges are those of the tile, and neighbours share them", () => {
  assert.deepEqual(boundsOf(tileOf("4")), [-180, -90, 0, 90], "the west of the world");
  const tile = tileOf("1300353171");
  const [west, south, east, north] = boundsOf(tile);
  const size = 360 / 2 ** 15;
  assert.ok(Math.abs(east - west - size) < 1e-12 && Math.abs(north - south - size) < 1e-12);
  const [next] = tilesWithin([east + size / 2, south + size / 2, east + size / 2, south + size / 2], 15, 1);
  assert.equal(boundsOf(next)[0], east);
});

test("what is in view is every tile that the area touches, unless that is too many", () => {
  const names = (...asked) => tilesWithin(...asked)?.map((tile) => tile.toHereTile());
  assert.deepEqual(names([-180, -90, 180, 90], 1, 8).sort(), ["4", "5"]);
  assert.equal(tilesWithin([-180, -90, 180, 90], 10, 100), undefined);
  assert.equal(tilesWithin([179.9, 89.9, 500, 500], 3, 4).length, 1, "cut off at the edge of the world");
  for (const tile of tilesWithin([8.5, 50.05, 8.7, 50.15], 12, 20)) {
    const [west, south, east, north] = boundsOf(tile);
    assert.ok(west <= 8.7 && east >= 8.5 && south <= 50.15 && north >= 50.05);
  }
});

test("the smallest area round several", () => {
  assert.equal(union([]), undefined);
  assert.deepEqual(union([[0, 0, 1, 1], [-2, 0.5, 0.5, 3]]), [-2, 0, 1, 3]);
});
