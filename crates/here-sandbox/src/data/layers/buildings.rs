//! Buildings: blocks cut into lots, lots into houses, each as its neighbourhood has them.

use super::{Placed, id, place, within};
use crate::data::dice::Dice;
use crate::data::feature::{Feature, Geometry};
use crate::data::names::{self, Direction};
use crate::data::plan::{self, Cell, Use, Width};

/// What is built in a neighbourhood.
struct Custom {
    /// Lots from west to east and from south to north.
    lots: (u32, u32),
    /// The share of a lot that stays free on each side, in hundredths: from, to.
    free: (u32, u32),
    storeys: (u32, u32),
    /// One lot in so many stays empty.
    gaps: u32,
    classes: &'static [&'static str],
    built: (u32, u32),
}

fn custom(usage: Use) -> Option<Custom> {
    Some(match usage {
        Use::OldTown => Custom {
            lots: (4, 2),
            free: (3, 8),
            storeys: (2, 5),
            gaps: 14,
            classes: &["residential", "residential", "retail", "civic"],
            built: (1702, 1890),
        },
        Use::Downtown => Custom {
            lots: (2, 1),
            free: (8, 18),
            storeys: (6, 34),
            gaps: 12,
            classes: &["office", "office", "hotel", "retail"],
            built: (1961, 2023),
        },
        Use::Residential => Custom {
            lots: (3, 2),
            free: (7, 17),
            storeys: (3, 6),
            gaps: 9,
            classes: &[
                "residential",
                "residential",
                "residential",
                "residential",
                "residential",
                "retail",
                "school",
            ],
            built: (1895, 2010),
        },
        Use::Suburb => Custom {
            lots: (2, 2),
            free: (16, 30),
            storeys: (1, 3),
            gaps: 4,
            classes: &["residential"],
            built: (1925, 2021),
        },
        Use::Harbour => Custom {
            lots: (1, 2),
            free: (8, 14),
            storeys: (2, 4),
            gaps: 8,
            classes: &["warehouse", "industrial"],
            built: (1910, 2005),
        },
        Use::Park | Use::Nothing => return None,
    })
}

pub(crate) fn buildings(level: u32) -> Placed {
    let features = plan::cells().filter_map(|cell| Some((cell, custom(plan::usage(cell))?)));
    place(level, features.flat_map(|(cell, custom)| block(cell, &custom)))
}

/// What stands on one block.
fn block(cell: Cell, custom: &Custom) -> Vec<Feature> {
    let mut dice = Dice::new(2, cell.0, cell.1);
    let (across, up) = custom.lots;
    let mut houses = Vec::new();
    for (column, row) in (0..across).flat_map(|column| (0..up).map(move |row| (column, row))) {
        if dice.one_in(custom.gaps) {
            continue;
        }
        let number = column * up + row;
        let shape = shape(cell, (column, row), custom, &mut dice);
        let storeys = dice.between(custom.storeys.0, custom.storeys.1);
        let class = dice.pick(custom.classes);
        let storey_height = if class == "warehouse" { 4.5 } else { 3.2 };
        let height = f64::from(storeys) * storey_height + 0.1 * f64::from(dice.between(5, 40));
        // The house belongs to the street that it stands at.
        let street = names::street(Direction::East, if row == 0 { cell.1 } else { cell.1 + 1 });
        let house = (cell.0 + 40).unsigned_abs() * 10 + column * 2 + row;
        let feature = Feature::new(id("building", cell, number), Geometry::Area(shape))
            .with("class", class)
            .with("address", format!("{house} {street}"))
            .with("storeys", storeys)
            .with("height_m", (height * 10.0).round() / 10.0)
            .with("roof", dice.pick(&["flat", "gabled", "hipped"]))
            .with("built", dice.between(custom.built.0, custom.built.1));
        houses.push(feature);
    }
    houses
}

/// The outline of a house on its lot: a rectangle, or one with a corner missing.
fn shape(
    cell: Cell,
    (column, row): (u32, u32),
    custom: &Custom,
    dice: &mut Dice,
) -> Vec<crate::data::plane::Point> {
    // The streets' share of a block, on its four sides.
    let [west, east] = [cell.0, cell.0 + 1].map(|number| half_width(number) / 118.0);
    let [south, north] = [cell.1, cell.1 + 1].map(|number| half_width(number) / 96.0);
    let mut free = || f64::from(dice.between(custom.free.0, custom.free.1)) / 100.0;
    let span = |index: u32, of: u32, from: f64, to: f64, free: [f64; 2]| {
        let lot = (1.0 - from - to) / f64::from(of);
        let start = from + lot * f64::from(index);
        (start + lot * free[0], start + lot * (1.0 - free[1]))
    };
    let (left, right) = span(column, custom.lots.0, west, east, [free(), free()]);
    let (bottom, top) = span(row, custom.lots.1, south, north, [free(), free()]);
    let at = |across: f64, up: f64| within(cell, across, up);
    let mut outline = vec![at(left, bottom), at(right, bottom), at(right, top), at(left, top)];
    if dice.one_in(3) {
        let part = |from: f64, to: f64, share: f64| from + (to - from) * share;
        let (notch_left, notch_bottom) =
            (part(left, right, 0.4 + 0.3 * dice.share()), part(bottom, top, 0.35 + 0.3 * dice.share()));
        let notch = [at(right, notch_bottom), at(notch_left, notch_bottom), at(notch_left, top)];
        outline.splice(2..3, notch);
    }
    outline
}

/// From a street's middle to where lots begin, in metres.
fn half_width(number: i32) -> f64 {
    match plan::width(number) {
        Width::Primary => 15.0,
        Width::Secondary => 11.0,
        Width::Residential => 7.0,
    }
}
