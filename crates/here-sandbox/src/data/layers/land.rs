//! Land and water, cut at the edges of the partitions; and parks.

use std::collections::BTreeSet;

use super::Placed;
use crate::data::feature::{Feature, Geometry};
use crate::data::plan::{self, PARKS};
use crate::data::plane::{Frame, Point};
use crate::data::tile::Tile;

/// How often a tile is looked for from the middle to each edge of the plan: every 140 m, where the smallest tiles in
/// use have 1,100 m.
const STEPS: i32 = 24;

pub(crate) fn land(level: u32) -> Placed {
    let areas = [
        ("land", "Port Meridian", plan::land()),
        ("river", "Noon River", plan::river()),
        ("sea", "Sargasso Sea", plan::sea()),
    ];
    let parks = PARKS.iter().map(|park| ("park", park.name, park.outline()));
    let areas: Vec<_> = areas.into_iter().chain(parks).collect();
    let mut placed = Vec::new();
    for tile in tiles(level) {
        for (class, name, area) in &areas {
            let part = Frame::of(tile).clip(area);
            if !part.is_empty() {
                let id = format!("{class}-{}-{}", placed.len(), tile.quad_key());
                let feature = Feature::new(id, Geometry::Area(part));
                placed.push((tile, feature.with("class", *class).with("name", *name)));
            }
        }
    }
    placed
}

/// Every tile that the plan touches.
fn tiles(level: u32) -> BTreeSet<Tile> {
    let (width, height) = plan::HALF;
    let at = |step: i32, half: f64| half * f64::from(step) / f64::from(STEPS) * 0.999;
    (-STEPS..=STEPS)
        .flat_map(|x| (-STEPS..=STEPS).map(move |y| (x, y)))
        .map(|(x, y)| Point::new(at(x, width), at(y, height)).tile(level))
        .collect()
}
