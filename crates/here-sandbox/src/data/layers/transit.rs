//! Tram lines along wide streets, and their stops.

use super::{Placed, place};
use crate::data::feature::{Feature, Geometry};
use crate::data::names::{self, Direction};
use crate::data::plan::{self, Cell};

/// A tram line.
struct Line {
    name: &'static str,
    color: &'static str,
    direction: Direction,
    street: i32,
    from: i32,
    to: i32,
    every_minutes: u32,
}

const LINES: [Line; 4] = [
    Line {
        name: "1",
        color: "#c8452f",
        direction: Direction::East,
        street: 0,
        from: -20,
        to: 22,
        every_minutes: 6,
    },
    Line {
        name: "2",
        color: "#2f6fb0",
        direction: Direction::North,
        street: -6,
        from: -5,
        to: 20,
        every_minutes: 7,
    },
    Line {
        name: "3",
        color: "#7d4fa3",
        direction: Direction::East,
        street: 12,
        from: -18,
        to: 16,
        every_minutes: 10,
    },
    Line {
        name: "4",
        color: "#2c8a57",
        direction: Direction::North,
        street: 6,
        from: -13,
        to: 20,
        every_minutes: 10,
    },
];

/// A stop at every so many crossings.
const STOPS: i32 = 3;

pub(crate) fn transit(level: u32) -> Placed {
    let features = LINES.iter().flat_map(|line| {
        let stretches = (line.from..line.to).step_by(3).map(move |at| stretch(line, at));
        let stops = (line.from..=line.to).filter(|at| at % STOPS == 0).map(move |at| stop(line, at));
        stretches.chain(stops)
    });
    place(level, features)
}

impl Line {
    fn crossing(&self, at: i32) -> Cell {
        match self.direction {
            Direction::North => (self.street, at),
            Direction::East => (at, self.street),
        }
    }
}

fn stretch(line: &Line, at: i32) -> Feature {
    let track = (at..=(at + 3).min(line.to)).map(|at| plan::crossing(line.crossing(at)));
    Feature::new(format!("tram-{}-{}", line.name, at + 50), Geometry::Line(track.collect()))
        .with("class", "tram")
        .with("line", line.name)
        .with("color", line.color)
        .with("street", names::street(line.direction, line.street))
        .with("every_minutes", line.every_minutes)
}

fn stop(line: &Line, at: i32) -> Feature {
    let crossing = line.crossing(at);
    let across = match line.direction {
        Direction::North => names::street(Direction::East, at),
        Direction::East => names::street(Direction::North, at),
    };
    let is_terminus = at - line.from < STOPS || line.to - at < STOPS;
    Feature::new(format!("stop-{}-{}", line.name, at + 50), Geometry::Point(plan::crossing(crossing)))
        .with("class", "stop")
        .with("name", across)
        .with("line", line.name)
        .with("color", line.color)
        .with("terminus", is_terminus)
        .with("shelter", at % 2 == 0)
}
