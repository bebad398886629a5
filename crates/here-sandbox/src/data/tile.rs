//! HERE's tiles: the world as a square of 360 by 360 degrees, cut into quarters again and again.
//!
//! Column 0 begins at 180° west and row 0 at the south pole; the upper half of the square lies beyond the north
//! pole and is empty. A tile's quad key is its column and row bit by bit, behind a leading 1 that marks the
//! level; HERE writes it as a decimal number.

/// The deepest level that HERE's clients can name.
const MAX_LEVEL: u32 = 26;

/// One tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    level: u32,
    row: u32,
    column: u32,
}

/// A tile's edges in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) west: f64,
    pub(crate) south: f64,
    pub(crate) east: f64,
    pub(crate) north: f64,
}

impl Tile {
    /// The tile that a place lies in; its western and southern edges belong to it.
    pub(crate) fn at(level: u32, longitude: f64, latitude: f64) -> Self {
        let index = |degrees: f64| {
            let index = (degrees / size(level)).floor();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole, and from 0 to 2^26 for any place on earth; a cast does not go beyond the ends"
            )]
            let index = index as u32;
            index
        };
        Self { level, row: index(latitude + 90.0), column: index(longitude + 180.0) }
    }

    /// Reads a quad key; `None` for a number that names no tile.
    pub(crate) fn from_quad_key(quad_key: u64) -> Option<Self> {
        let bits = quad_key.checked_ilog2()?;
        let level = bits / 2;
        if bits % 2 == 1 || level > MAX_LEVEL {
            return None;
        }
        let every_second =
            |from: u32| (0..level).map(|bit| u32::from(quad_key >> (2 * bit + from) & 1 == 1) << bit).sum();
        Some(Self { level, row: every_second(1), column: every_second(0) })
    }

    pub(crate) fn quad_key(self) -> u64 {
        let bit = |of: u32, index: u32| u64::from(of >> index & 1);
        (0..self.level)
            .map(|index| bit(self.column, index) << (2 * index) | bit(self.row, index) << (2 * index + 1))
            .sum::<u64>()
            | 1 << (2 * self.level)
    }

    pub(crate) fn bounds(self) -> Bounds {
        let edge = |index: u32, first: f64| f64::from(index) * size(self.level) + first;
        Bounds {
            west: edge(self.column, -180.0),
            south: edge(self.row, -90.0),
            east: edge(self.column + 1, -180.0),
            north: edge(self.row + 1, -90.0),
        }
    }

    /// Returns the ancestor at this level, or the tile itself at its own; `None` below that.
    pub(crate) fn ancestor_at(self, level: u32) -> Option<Self> {
        let up = self.level.checked_sub(level)?;
        Some(Self { level, row: self.row >> up, column: self.column >> up })
    }

    /// Returns how many levels this tile is below `ancestor`, and its quad key counted from there; 1 is the
    /// ancestor itself.
    pub(crate) fn below(self, ancestor: Self) -> Option<(u32, u64)> {
        let depth = self.level.checked_sub(ancestor.level)?;
        if self.ancestor_at(ancestor.level) != Some(ancestor) {
            return None;
        }
        let leading = 1 << (2 * depth);
        Some((depth, self.quad_key() & (leading - 1) | leading))
    }
}

/// The width and height of a tile in degrees.
fn size(level: u32) -> f64 {
    360.0 / f64::from(1_u32 << level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quad_keys_are_those_of_heres_sdks() {
        // From the tests of heremaps/here-data-sdk-cpp: a tile, its ancestor four levels up, and the sub quad key
        // between them.
        let (tile, ancestor) = (5_904_591, 23_064);
        let tile = Tile::from_quad_key(tile).unwrap();
        assert_eq!(tile.level, 11);
        assert_eq!(tile.ancestor_at(7).map(Tile::quad_key), Some(ancestor));
        let ancestor = Tile::from_quad_key(ancestor).unwrap();
        assert_eq!(tile.below(ancestor), Some((4, 463)));
        assert_eq!(tile.below(tile), Some((0, 1)));
        assert_eq!(ancestor.below(tile), None);
    }

    #[test]
    fn tiles_lie_where_here_puts_them() {
        // Berlin's Alexanderplatz.
        let tile = Tile::at(12, 13.4132, 52.5219);
        let bounds = tile.bounds();
        assert_eq!((tile.column, tile.row), (2200, 1621));
        assert!(bounds.west <= 13.4132 && 13.4132 < bounds.east, "{bounds:?}");
        assert!(bounds.south <= 52.5219 && 52.5219 < bounds.north, "{bounds:?}");
        assert_eq!(Tile::at(0, 13.4, 52.5).quad_key(), 1);
    }

    #[test]
    fn number_without_a_level_is_no_tile() {
        for number in [0, 2, 3, 8, 15, 1 << 54, u64::MAX] {
            assert_eq!(Tile::from_quad_key(number), None, "{number}");
        }
        assert_eq!(Tile::from_quad_key(1).map(|tile| tile.level), Some(0));
        assert_eq!(Tile::from_quad_key(1 << 52).map(|tile| tile.level), Some(26));
    }

    proptest! {
        #[test]
        fn quad_key_comes_back(level in 0..=MAX_LEVEL, column: u32, row: u32) {
            let in_level = |index: u32| index & ((1 << level) - 1);
            let tile = Tile { level, column: in_level(column), row: in_level(row) };
            prop_assert_eq!(Tile::from_quad_key(tile.quad_key()), Some(tile));
        }

        #[test]
        fn middle_of_a_tile_is_in_it(level in 0..=MAX_LEVEL, longitude in -180.0..180.0, latitude in -90.0..90.0) {
            let tile = Tile::at(level, longitude, latitude);
            let Bounds { west, south, east, north } = tile.bounds();
            prop_assert_eq!(Tile::at(level, f64::midpoint(west, east), f64::midpoint(south, north)), tile);
        }
    }
}
