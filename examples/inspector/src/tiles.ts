// HERE's tiles, in the little that the page needs beyond the SDK's `TileKey`: edges in degrees, and what is in view.

import { TileKey } from "@here/olp-sdk-core";

/** West, south, east and north, in degrees. */
export type Bounds = [number, number, number, number];

/** A tile's edges: columns begin at 180° west, rows at the south pole, and both are 360° / 2^level wide. */
export function boundsOf(tile: TileKey): Bounds {
  const size = 360 / TileKey.columnsAtLevel(tile.level);
  const west = tile.column * size - 180;
  const south = tile.row * size - 90;
  return [west, south, west + size, south + size];
}

/** The tile that a partition is named after, or nothing where its name is not a quad key. */
export function tileOf(partition: string): TileKey | undefined {
  if (!/^[1-9]\d{0,15}$/.test(partition)) return undefined;
  const tile = TileKey.fromHereTile(partition);
  return TileKey.isValid(tile) && tile.toHereTile() === partition ? tile : undefined;
}

/** The tiles of a level that an area touches, or nothing when there are more than `limit`. */
export function tilesWithin([west, south, east, north]: Bounds, level: number, limit: number): TileKey[] | undefined {
  const size = 360 / TileKey.columnsAtLevel(level);
  const index = (degrees: number, first: number, end: number) =>
    Math.floor((Math.min(Math.max(degrees, first), end) - first) / size);
  const columns = [index(west, -180, 179.999999), index(east, -180, 179.999999)] as const;
  const rows = [index(south, -90, 89.999999), index(north, -90, 89.999999)] as const;
  if ((columns[1] - columns[0] + 1) * (rows[1] - rows[0] + 1) > limit) return undefined;
  const tiles: TileKey[] = [];
  for (let row = rows[0]; row <= rows[1]; row++) {
    for (let column = columns[0]; column <= columns[1]; column++) {
      tiles.push(TileKey.fromRowColumnLevel(row, column, level));
    }
  }
  return tiles;
}

/** The smallest area that holds all of these. */
export function union(all: Iterable<Bounds>): Bounds | undefined {
  let result: Bounds | undefined;
  for (const [west, south, east, north] of all) {
    result = result
      ? [Math.min(result[0], west), Math.min(result[1], south), Math.max(result[2], east), Math.max(result[3], north)]
      : [west, south, east, north];
  }
  return result;
}
