//! Charging stations for electric vehicles.

use serde_json::json;

use super::{Placed, place, point_feature};
use crate::data::dice::Dice;
use crate::data::names::{self, Direction};
use crate::data::plan::{self, Cell, Use};

pub(crate) fn charging(level: u32) -> Placed {
    let features = plan::cells().filter_map(|cell| {
        let mut dice = Dice::new(5, cell.0, cell.1);
        let one_in = match plan::usage(cell) {
            Use::Downtown => 5,
            Use::Residential | Use::Harbour => 12,
            Use::OldTown => 16,
            Use::Suburb => 22,
            Use::Park | Use::Nothing => return None,
        };
        dice.one_in(one_in).then(|| station(cell, &mut dice))
    });
    place(level, features)
}

fn station(cell: Cell, dice: &mut Dice) -> crate::data::feature::Feature {
    let power = dice.pick(&["11", "22", "50", "150", "300"]);
    let is_fast = power.len() > 2 || power == "50";
    let points = dice.between(1, 4) * 2;
    point_feature("charging", cell, 0, (0.5, 0.9))
        .with("name", format!("{} Charging", names::street(Direction::North, cell.0)))
        .with("operator", dice.pick(&["Noon Power", "Trade Wind Energy", "City Works"]))
        .with("power_kw", power.parse::<u32>().unwrap_or_default())
        .with("connectors", if is_fast { json!(["CCS", "Type 2"]) } else { json!(["Type 2"]) })
        .with("points", json!({ "total": points, "free": dice.below(points + 1) }))
}
