//! Places that people go to: shops, schools, museums.

use super::{Placed, place, point_feature};
use crate::data::dice::Dice;
use crate::data::names::{self, Direction};
use crate::data::plan::{self, Cell, Use};

pub(crate) fn places(level: u32) -> Placed {
    let features = plan::cells().filter_map(|cell| {
        let mut dice = Dice::new(4, cell.0, cell.1);
        // One block in so many has something.
        let one_in = match plan::usage(cell) {
            Use::OldTown => 2,
            Use::Downtown => 3,
            Use::Residential => 6,
            Use::Harbour => 9,
            Use::Suburb => 14,
            Use::Park | Use::Nothing => return None,
        };
        dice.one_in(one_in).then(|| business(cell, &mut dice))
    });
    place(level, features)
}

fn business(cell: Cell, dice: &mut Dice) -> crate::data::feature::Feature {
    let business = names::business(dice);
    let street = names::street(Direction::East, cell.1);
    let at = (0.2 + 0.6 * dice.share(), 0.16);
    point_feature("place", cell, 0, at)
        .with("name", business.name)
        .with("category", business.category)
        .with("address", format!("{} {street}", (cell.0 + 40).unsigned_abs() * 10 + 1))
        .with("opening_hours", business.hours)
        .with("wheelchair", dice.pick(&["yes", "yes", "limited", "no"]))
        .with("rating", f64::from(dice.between(28, 50)) / 10.0)
}
