//! The plane that the city is drawn on, in metres from its middle, and what is done to lines and areas there.
//!
//! No trigonometry: only operations whose results IEEE 754 fixes to the last bit, so that the data, and with them
//! sizes and checksums, are the same on every machine.

use super::tile::{Bounds, Tile};

/// The middle of the city, in the Sargasso Sea: a corner of HERE tiles of level 15 and of level 14.
const MIDDLE: (f64, f64) = (12_744.0 * 360.0 / 32_768.0 - 180.0, 10_376.0 * 360.0 / 32_768.0 - 90.0);

/// Metres in a degree there, east and north.
const METRES: (f64, f64) = (101_750.0, 110_780.0);

/// Metres east and north of the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A rectangle along the axes, such as a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    from: Point,
    to: Point,
}

impl Point {
    pub(crate) const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// Longitude and latitude with six digits, some ten centimetres.
    pub(crate) fn degrees(self) -> [f64; 2] {
        let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
        [round(MIDDLE.0 + self.x / METRES.0), round(MIDDLE.1 + self.y / METRES.1)]
    }

    pub(crate) fn tile(self, level: u32) -> Tile {
        let [longitude, latitude] = self.degrees();
        Tile::at(level, longitude, latitude)
    }

    /// The point at this share of the way to `other`.
    pub(crate) fn towards(self, other: Self, share: f64) -> Self {
        Self::new(self.x + (other.x - self.x) * share, self.y + (other.y - self.y) * share)
    }

    pub(crate) fn distance(self, other: Self) -> f64 {
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        (dx * dx + dy * dy).sqrt()
    }

    /// The distance to the nearest point of a line.
    pub(crate) fn distance_to_line(self, line: &[Self]) -> f64 {
        let segments = line.iter().zip(line.iter().skip(1));
        let distances = segments.map(|(&a, &b)| {
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            let along = (self.x - a.x) * dx + (self.y - a.y) * dy;
            let share = (along / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            self.distance(a.towards(b, share))
        });
        distances.fold(f64::INFINITY, f64::min)
    }
}

impl Frame {
    pub(crate) fn of(tile: Tile) -> Self {
        let Bounds { west, south, east, north } = tile.bounds();
        let metres = |longitude: f64, latitude: f64| {
            Point::new((longitude - MIDDLE.0) * METRES.0, (latitude - MIDDLE.1) * METRES.1)
        };
        Self { from: metres(west, south), to: metres(east, north) }
    }

    pub(crate) fn middle(self) -> Point {
        self.from.towards(self.to, 0.5)
    }

    /// What is left of an area within the frame; empty when nothing is. Each edge cuts in turn
    /// (Sutherland and Hodgman), so parts that fall apart stay joined along the edge.
    pub(crate) fn clip(self, area: &[Point]) -> Vec<Point> {
        let Self { from, to } = self;
        let area = cut(area, |p| p.x - from.x);
        let area = cut(&area, |p| to.x - p.x);
        let area = cut(&area, |p| p.y - from.y);
        let area = cut(&area, |p| to.y - p.y);
        if area.len() < 3 { Vec::new() } else { area }
    }
}

/// Keeps the part where `inside` is positive. It must be linear.
fn cut(area: &[Point], inside: impl Fn(Point) -> f64) -> Vec<Point> {
    let mut kept = Vec::new();
    let next = area.iter().cycle().skip(1);
    for (&a, &b) in area.iter().zip(next) {
        let (at_a, at_b) = (inside(a), inside(b));
        if at_a >= 0.0 {
            kept.push(a);
        }
        if (at_a >= 0.0) != (at_b >= 0.0) {
            kept.push(a.towards(b, at_a / (at_a - at_b)));
        }
    }
    kept
}

/// Draws a smooth line through the points (Catmull and Rom), `steps` to each stretch.
pub(crate) fn smooth(through: &[Point], steps: u32) -> Vec<Point> {
    let at = |index: usize| through.get(index.min(through.len() - 1)).copied();
    let mut line = Vec::new();
    for index in 0..through.len().saturating_sub(1) {
        let (Some(before), Some(a), Some(b), Some(after)) =
            (at(index.saturating_sub(1)), at(index), at(index + 1), at(index + 2))
        else {
            break;
        };
        for step in 0..steps {
            let t = f64::from(step) / f64::from(steps);
            let curve = |before: f64, a: f64, b: f64, after: f64| {
                let (linear, square) = (b - before, 2.0 * before - 5.0 * a + 4.0 * b - after);
                let cube = 3.0 * (a - b) + after - before;
                a + 0.5 * t * (linear + t * (square + t * cube))
            };
            line.push(Point::new(curve(before.x, a.x, b.x, after.x), curve(before.y, a.y, b.y, after.y)));
        }
    }
    line.extend(through.last());
    line
}

/// Makes a band of a line: `width` says how far its two banks are from the line, at a share of its length.
pub(crate) fn band(line: &[Point], width: impl Fn(f64) -> f64) -> Vec<Point> {
    let last = u32::try_from(line.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let (Some(&first), Some(&end)) = (line.first(), line.last()) else {
        return Vec::new();
    };
    let before = std::iter::once(&first).chain(line);
    let after = line.iter().skip(1).chain([&end]);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (((index, point), before), after) in (0..).zip(line).zip(before).zip(after) {
        let half = width(f64::from(index) / f64::from(last)) / before.distance(*after);
        let (dx, dy) = ((after.x - before.x) * half, (after.y - before.y) * half);
        left.push(Point::new(point.x - dy, point.y + dx));
        right.push(Point::new(point.x + dy, point.y - dx));
    }
    left.extend(right.into_iter().rev());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Point; 4] =
        [Point::new(0.0, 0.0), Point::new(10.0, 0.0), Point::new(10.0, 10.0), Point::new(0.0, 10.0)];

    fn frame(from: (f64, f64), to: (f64, f64)) -> Frame {
        Frame { from: Point::new(from.0, from.1), to: Point::new(to.0, to.1) }
    }

    /// Twice the area, positive where the corners are in counter-clockwise order.
    fn twice_the_area(area: &[Point]) -> f64 {
        let next = area.iter().cycle().skip(1);
        area.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum()
    }

    #[test]
    fn middle_is_the_corner_of_four_tiles_at_both_levels() {
        for level in [14, 15] {
            let tile = |x, y| Point::new(x, y).tile(level);
            assert_ne!(tile(-1.0, 1.0), tile(1.0, 1.0), "{level}");
            assert_ne!(tile(1.0, -1.0), tile(1.0, 1.0), "{level}");
            assert_eq!(tile(0.0, 0.0), tile(1.0, 1.0), "{level}");
        }
        assert_eq!(format!("{:?}", Point::new(0.0, 0.0).degrees()), "[-39.990234, 23.994141]");
    }

    #[test]
    fn frame_keeps_what_is_within() {
        assert_eq!(frame((-1.0, -1.0), (11.0, 11.0)).clip(&SQUARE), SQUARE);
        let part = frame((5.0, -5.0), (20.0, 4.0)).clip(&SQUARE);
        assert!((twice_the_area(&part) - 2.0 * 5.0 * 4.0).abs() < 1e-9, "{part:?}");
        assert_eq!(frame((11.0, 0.0), (12.0, 10.0)).clip(&SQUARE), []);
        let tile = Point::new(100.0, 100.0).tile(15);
        let whole = Frame::of(tile).clip(&[
            Point::new(-1e5, -1e5),
            Point::new(1e5, -1e5),
            Point::new(1e5, 1e5),
            Point::new(-1e5, 1e5),
        ]);
        let Bounds { west, south, .. } = tile.bounds();
        let corners: Vec<_> = whole.iter().map(|point| point.degrees()).collect();
        let south_west = [west, south].map(|degrees| (degrees * 1e6).round() / 1e6);
        assert!(corners.len() == 4 && corners.contains(&south_west), "{corners:?}");
    }

    #[test]
    fn smooth_line_passes_through_its_points() {
        let line = smooth(&SQUARE, 4);
        assert_eq!(line.len(), 13);
        for point in SQUARE {
            assert!(line.contains(&point), "{point:?}");
            assert!(point.distance_to_line(&line) < f64::EPSILON);
        }
        assert!((Point::new(5.0, 5.0).distance_to_line(&SQUARE) - 5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn band_is_as_wide_as_asked_for() {
        let line = [Point::new(0.0, 0.0), Point::new(50.0, 0.0), Point::new(100.0, 0.0)];
        let band = band(&line, |_| 3.0);
        assert!((twice_the_area(&band).abs() - 2.0 * 100.0 * 6.0).abs() < 1e-9, "{band:?}");
    }
}
