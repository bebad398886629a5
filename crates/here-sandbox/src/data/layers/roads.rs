//! Roads, from crossing to crossing.

use super::{Placed, id, place};
use crate::data::feature::{Feature, Geometry};
use crate::data::names::{self, Direction};
use crate::data::plan::{self, Cell, Use, Width};
use crate::data::plane::Point;

pub(crate) fn roads(level: u32) -> Placed {
    let streets = plan::cells().flat_map(|cell| {
        [Direction::North, Direction::East].into_iter().filter_map(move |direction| street(cell, direction))
    });
    place(level, streets.chain(promenade()))
}

/// The street that leads from a crossing to the next one, where there is one.
fn street((column, row): Cell, direction: Direction) -> Option<Feature> {
    let (number, end, beside) = match direction {
        Direction::North => (column, (column, row + 1), (column - 1, row)),
        Direction::East => (row, (column + 1, row), (column, row - 1)),
    };
    let width = plan::width(number);
    let ends = [(column, row), end].map(plan::crossing);
    let uses = [(column, row), beside].map(plan::usage);
    let middle = ends[0].towards(ends[1], 0.5);
    let leads_to_something = uses.iter().any(|usage| !matches!(usage, Use::Nothing | Use::Park));
    if !(leads_to_something || width == Width::Primary && plan::is_in_town((column, row))) {
        return None;
    }
    let is_wet = |point: &Point| plan::is_river(*point, 0.0);
    let on_bridge = ends.iter().chain([&middle]).any(is_wet);
    if ends.iter().any(|point| plan::is_sea(*point, 30.0)) || uses == [Use::Park; 2] {
        return None;
    }
    let is_wanted = match width {
        Width::Primary if plan::is_in_town((column, row)) => true,
        _ => leads_to_something && !on_bridge,
    };
    if !is_wanted {
        return None;
    }
    let (class, speed, lanes) = match width {
        Width::Primary => ("primary", 50, 4),
        Width::Secondary => ("secondary", 50, 2),
        Width::Residential => ("residential", 30, 1),
    };
    let is_oneway = width == Width::Residential && uses.contains(&Use::OldTown);
    let kind = if direction == Direction::North { "street-n" } else { "street-e" };
    let feature = Feature::new(id(kind, (column, row), 0), Geometry::Line(ends.to_vec()))
        .with("class", class)
        .with("name", names::street(direction, number))
        .with("speed_limit_kmh", if is_oneway { 20 } else { speed })
        .with("lanes", lanes)
        .with("oneway", is_oneway)
        .with("surface", if is_oneway { "sett" } else { "asphalt" })
        .with("length_m", ends[0].distance(ends[1]).round())
        .with_if("bridge", on_bridge.then_some(true));
    Some(feature)
}

/// The road along the shore.
fn promenade() -> Vec<Feature> {
    let line = plan::promenade();
    let stretches = line.windows(2).filter_map(|ends| {
        let middle = ends.first()?.towards(*ends.last()?, 0.5);
        Some((ends, plan::is_river(middle, 0.0)))
    });
    let features = (0..).zip(stretches).map(|(number, (ends, on_bridge))| {
        let length: f64 =
            ends.windows(2).filter_map(|pair| Some(pair.first()?.distance(*pair.last()?))).sum();
        Feature::new(format!("promenade-{number}"), Geometry::Line(ends.to_vec()))
            .with("class", "secondary")
            .with("name", "Promenade")
            .with("speed_limit_kmh", 30)
            .with("lanes", 2)
            .with("oneway", false)
            .with("surface", "asphalt")
            .with("length_m", length.round())
            .with_if("bridge", on_bridge.then_some(true))
    });
    features.collect()
}
