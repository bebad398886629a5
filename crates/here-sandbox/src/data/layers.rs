//! What is in each layer, all over the city.

mod buildings;
mod charging;
mod land;
mod places;
mod roads;
mod transit;

pub(crate) use buildings::buildings;
pub(crate) use charging::charging;
pub(crate) use land::land;
pub(crate) use places::places;
pub(crate) use roads::roads;
pub(crate) use transit::transit;

use super::feature::{Feature, Geometry};
use super::plan::{self, Cell};
use super::plane::Point;
use super::tile::Tile;

/// Features, each with the tile that its partition is named after.
pub(crate) type Placed = Vec<(Tile, Feature)>;

/// Sorts features by where they are.
fn place(level: u32, features: impl IntoIterator<Item = Feature>) -> Placed {
    let placed = features.into_iter().filter_map(|feature| {
        let anchor = feature.geometry.anchor()?;
        Some((anchor.tile(level), feature))
    });
    placed.collect()
}

/// A point in a block, at these shares of its width and height.
fn within(cell: Cell, across: f64, up: f64) -> Point {
    let [south_west, south_east, north_east, north_west] = plan::corners(cell);
    let south = south_west.towards(south_east, across);
    south.towards(north_west.towards(north_east, across), up)
}

/// A short and stable name for what is at a place in the grid.
fn id(kind: &str, (column, row): Cell, number: u32) -> String {
    format!("{kind}-{:02}{:02}-{number}", column + 50, row + 50)
}

fn point_feature(kind: &str, cell: Cell, number: u32, (across, up): (f64, f64)) -> Feature {
    Feature::new(id(kind, cell, number), Geometry::Point(within(cell, across, up)))
}
