//! The plan of Port Meridian, a city that is not there: its coast, its river, and a bent grid of streets with what
//! stands between them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::dice::Dice;
use super::plane::{Point, band, smooth};

/// Each range of the grid that may have something on it, in streets from the middle.
const COLUMNS: std::ops::Range<i32> = -34..34;
const ROWS: std::ops::Range<i32> = -36..36;

/// The distance from street to street, in metres.
const COLUMN: f64 = 118.0;
const ROW: f64 = 96.0;

/// The cosine and sine by which the grid is turned, some 12°.
const TURN: (f64, f64) = (0.978_148, 0.207_912);

/// Every so many streets, a wide one.
const PRIMARY: i32 = 6;
const SECONDARY: i32 = 3;

/// Half of the plan's width and height; beyond lies what has not been surveyed.
pub(crate) const HALF: (f64, f64) = (3353.0, 2434.0);

/// A place in the grid: a crossing, or the block north-east of it.
pub(crate) type Cell = (i32, i32);

/// What a block is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    OldTown,
    Downtown,
    Residential,
    Suburb,
    Harbour,
    Park,
    /// Sea, river bank, or open country.
    Nothing,
}

/// How wide a street is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Primary,
    Secondary,
    Residential,
}

/// A park: its blocks from corner to corner, without streets between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Park {
    pub(crate) name: &'static str,
    from: Cell,
    to: Cell,
}

pub(crate) const PARKS: [Park; 5] = [
    Park { name: "Observatory Park", from: (12, 5), to: (17, 12) },
    Park { name: "Sailmakers Green", from: (-12, -3), to: (-9, 2) },
    Park { name: "Longitude Gardens", from: (-6, 12), to: (-2, 15) },
    Park { name: "Lighthouse Point", from: (-21, -6), to: (-18, 0) },
    Park { name: "Eastern Meadow", from: (18, -9), to: (23, -4) },
];

/// The shore from west to east; the sea lies south of it.
static COAST: LazyLock<Vec<Point>> = LazyLock::new(|| {
    const THROUGH: [(f64, f64); 15] = [
        (-3600.0, -1300.0),
        (-3000.0, -1480.0),
        (-2450.0, -1560.0),
        (-2050.0, -1280.0),
        (-1650.0, -1420.0),
        (-1250.0, -1330.0),
        (-1000.0, -1000.0),
        (-620.0, -900.0),
        (-330.0, -1120.0),
        (100.0, -1560.0),
        (800.0, -1660.0),
        (1500.0, -1480.0),
        (2200.0, -1700.0),
        (2900.0, -1560.0),
        (3600.0, -1750.0),
    ];
    smooth(&THROUGH.map(|(x, y)| Point::new(x, y)), 10)
});

/// The river's middle, from its source to the sea.
static RIVER: LazyLock<Vec<Point>> = LazyLock::new(|| {
    const THROUGH: [(f64, f64); 8] = [
        (1500.0, 2700.0),
        (1150.0, 1950.0),
        (1050.0, 1250.0),
        (520.0, 820.0),
        (260.0, 250.0),
        (-230.0, -120.0),
        (-520.0, -600.0),
        (-640.0, -1050.0),
    ];
    smooth(&THROUGH.map(|(x, y)| Point::new(x, y)), 8)
});

/// Half the river's width, at a share of its length.
fn river_half_width(share: f64) -> f64 {
    34.0 + 30.0 * share * share
}

pub(crate) fn cells() -> impl Iterator<Item = Cell> {
    COLUMNS.flat_map(|column| ROWS.map(move |row| (column, row)))
}

/// Where two streets cross.
pub(crate) fn crossing((column, row): Cell) -> Point {
    let (u, v) = (f64::from(column) * COLUMN, f64::from(row) * ROW);
    let (cos, sin) = TURN;
    // The bend: streets fan out to the east, and curve with the river.
    let bend = (2.6e-5 * v * v, -2.4e-5 * u * v);
    Point::new(cos * u - sin * v + bend.0, sin * u + cos * v + bend.1)
}

/// The corners of a block, counter-clockwise from the south-west.
pub(crate) fn corners((column, row): Cell) -> [Point; 4] {
    [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(right, up)| crossing((column + right, row + up)))
}

pub(crate) fn middle(cell: Cell) -> Point {
    let [south_west, _, north_east, _] = corners(cell);
    south_west.towards(north_east, 0.5)
}

/// How wide the street with this number is.
pub(crate) fn width(number: i32) -> Width {
    if number % PRIMARY == 0 {
        Width::Primary
    } else if number % SECONDARY == 0 {
        Width::Secondary
    } else {
        Width::Residential
    }
}

/// What a block is used for.
pub(crate) fn usage(cell: Cell) -> Use {
    // Every layer asks about every block, and about its neighbours, too.
    static USES: LazyLock<HashMap<Cell, Use>> =
        LazyLock::new(|| cells().map(|cell| (cell, decide(cell))).collect());
    USES.get(&cell).copied().unwrap_or(Use::Nothing)
}

fn decide(cell: Cell) -> Use {
    if PARKS.iter().any(|park| park.has(cell)) {
        return Use::Park;
    }
    let place = middle(cell);
    let shore = place.y - coast_at(place.x);
    let is_dry = |point: Point| !is_sea(point, 60.0) && !is_river(point, 28.0);
    if !is_on_plan(place) || !corners(cell).into_iter().chain([place]).all(is_dry) {
        return Use::Nothing;
    }
    if place.distance(Point::new(-640.0, -330.0)) < 560.0 || place.distance(Point::new(60.0, -640.0)) < 420.0
    {
        return Use::OldTown;
    }
    if place.distance(Point::new(-420.0, 660.0)) < 520.0 {
        return Use::Downtown;
    }
    if shore < 420.0 && place.x > 700.0 && place.x < 2700.0 {
        return Use::Harbour;
    }
    match sprawl(cell, place) {
        sprawl if sprawl < 0.52 => Use::Residential,
        sprawl if sprawl < 1.0 => Use::Suburb,
        _ => Use::Nothing,
    }
}

/// How far out of town a place is: 1 is where the town ends. The edge frays, by neighbourhoods.
fn sprawl((column, row): Cell, place: Point) -> f64 {
    let (x, y) = ((place.x + 150.0) / 3050.0, (place.y + 250.0) / 2350.0);
    let fray = Dice::new(1, column.div_euclid(3), row.div_euclid(3)).share();
    x * x + y * y - 0.3 + 0.55 * fray
}

/// Whether the sea is closer than `margin` metres, or the place lies in it.
pub(crate) fn is_sea(place: Point, margin: f64) -> bool {
    place.y < coast_at(place.x) + margin
}

/// The same for the river.
pub(crate) fn is_river(place: Point, margin: f64) -> bool {
    place.distance_to_line(&RIVER) < river_half_width(0.7) + margin
}

/// Whether what stands at a place lies within the plan as a whole.
fn is_on_plan(place: Point) -> bool {
    /// Half a block, corner to corner.
    const MARGIN: f64 = 80.0;
    place.x.abs() < HALF.0 - MARGIN && place.y.abs() < HALF.1 - MARGIN
}

/// Whether a place is so far in town that a bridge there is worth its price.
pub(crate) fn is_in_town(cell: Cell) -> bool {
    const METRES: f64 = 1850.0;
    middle(cell).distance(Point::new(0.0, 0.0)) < METRES
}

/// How far north the shore lies.
fn coast_at(x: f64) -> f64 {
    let stretches = COAST.iter().zip(COAST.iter().skip(1));
    let at = |(a, b): (&Point, &Point)| a.towards(*b, (x - a.x) / (b.x - a.x)).y;
    let mut stretches = stretches.skip_while(|(_, b)| b.x < x);
    stretches.next().map_or(f64::NEG_INFINITY, at)
}

/// The whole of the land and of the sea, as far as the plan goes and some way beyond.
pub(crate) fn land() -> Vec<Point> {
    up_to(HALF.1)
}

/// See [`land`].
pub(crate) fn sea() -> Vec<Point> {
    up_to(-HALF.1)
}

fn up_to(y: f64) -> Vec<Point> {
    let corner = |point: Option<&Point>| point.map(|point| Point::new(point.x, y * 1.5));
    let mut area = COAST.clone();
    area.extend(corner(COAST.last()));
    area.extend(corner(COAST.first()));
    area
}

/// The river from bank to bank.
pub(crate) fn river() -> Vec<Point> {
    band(&RIVER, river_half_width)
}

/// The shore, moved inland: where a promenade runs.
pub(crate) fn promenade() -> Vec<Point> {
    COAST.iter().map(|point| Point::new(point.x, point.y + 48.0)).filter(|point| is_on_plan(*point)).collect()
}

impl Park {
    fn has(&self, (column, row): Cell) -> bool {
        (self.from.0..self.to.0).contains(&column) && (self.from.1..self.to.1).contains(&row)
    }

    /// The streets round it.
    pub(crate) fn outline(&self) -> Vec<Point> {
        let ((left, bottom), (right, top)) = (self.from, self.to);
        let south = (left..right).map(|column| (column, bottom));
        let east = (bottom..top).map(|row| (right, row));
        let north = (left + 1..=right).rev().map(|column| (column, top));
        let west = (bottom + 1..=top).rev().map(|row| (left, row));
        south.chain(east).chain(north).chain(west).map(crossing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn city_has_all_its_parts() {
        let mut counts = HashMap::new();
        for cell in cells() {
            *counts.entry(usage(cell)).or_insert(0) += 1;
        }
        let at_least = [
            (Use::OldTown, 60),
            (Use::Downtown, 40),
            (Use::Residential, 300),
            (Use::Suburb, 300),
            (Use::Harbour, 20),
            (Use::Park, 100),
        ];
        for (usage, expected) in at_least {
            assert!(counts[&usage] >= expected, "{usage:?}: {counts:?}");
        }
    }

    #[test]
    fn nothing_is_built_in_the_water_or_off_the_plan() {
        for cell in cells().filter(|&cell| usage(cell) != Use::Nothing && usage(cell) != Use::Park) {
            let place = middle(cell);
            assert!(!is_sea(place, 0.0) && !is_river(place, 0.0) && is_on_plan(place), "{cell:?}");
        }
    }

    #[test]
    fn grid_covers_the_plan() {
        let at_the_edge = |(column, row): Cell| {
            [COLUMNS.start, COLUMNS.end - 1].contains(&column) || [ROWS.start, ROWS.end - 1].contains(&row)
        };
        for cell in cells().filter(|&cell| at_the_edge(cell)) {
            assert_eq!(usage(cell), Use::Nothing, "{cell:?}");
        }
    }

    #[test]
    fn parks_are_dry_and_closed() {
        for park in PARKS {
            let outline = park.outline();
            let blocks = (park.to.0 - park.from.0 + park.to.1 - park.from.1) * 2;
            assert_eq!(i32::try_from(outline.len()), Ok(blocks), "{}", park.name);
            assert!(
                outline.iter().all(|&point| !is_sea(point, 0.0) && !is_river(point, 0.0)),
                "{}",
                park.name
            );
        }
    }

    #[test]
    fn shore_runs_eastward() {
        assert!(COAST.is_sorted_by(|a, b| a.x < b.x));
        assert!(is_sea(Point::new(0.0, -2400.0), 0.0) && !is_sea(Point::new(0.0, 0.0), 0.0));
        assert!(is_river(Point::new(260.0, 250.0), 0.0));
    }
}
