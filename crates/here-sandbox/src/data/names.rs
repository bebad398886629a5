//! Names for streets, houses and places, thrown together from words.

use super::dice::Dice;
use super::plan::{Width, width};

#[rustfmt::skip]
const STREETS: [&str; 68] = [
    "Anchor", "Almanac", "Azimuth", "Barometer", "Beacon", "Binnacle", "Bowline", "Brigantine", "Buoy",
    "Capstan", "Cartographer", "Chandler", "Chronometer", "Clipper", "Compass", "Cooper", "Coral", "Cutter",
    "Dolphin", "Doldrum", "Ebb", "Equinox", "Fathom", "Ferry", "Flag", "Galley", "Gannet", "Halyard", "Harrison",
    "Hawser", "Heron", "Horizon", "Jetty", "Keel", "Lantern", "Latitude", "Leeward", "Log Line", "Longitude",
    "Lodestar", "Mainsail", "Mariner", "Mast", "Meridian", "Mercator", "Mooring", "Nautilus", "Net Loft",
    "North Star", "Octant", "Parallax", "Pelican", "Pilot", "Plumb", "Polaris", "Quadrant", "Quay", "Rigging",
    "Ropewalk", "Sargasso", "Schooner", "Sextant", "Shipwright", "Sounding", "Spinnaker", "Tern", "Tide",
    "Windlass",
];

/// Which way a street runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    North,
    East,
}

/// Names the street with this number.
pub(crate) fn street(direction: Direction, number: i32) -> String {
    // Both strides share no factor with the number of words, so neighbours differ and few names come twice.
    let stride = if direction == Direction::North { 5 } else { 29 };
    let index = (number * stride).rem_euclid(68);
    let word =
        STREETS.get(usize::try_from(index).unwrap_or_default()).expect("a remainder of the number of words");
    let kind = match (width(number), direction) {
        (Width::Primary, Direction::North) => "Boulevard",
        (Width::Primary, Direction::East) => "Avenue",
        (Width::Secondary, _) => "Road",
        (Width::Residential, Direction::North) => "Street",
        (Width::Residential, Direction::East) => "Lane",
    };
    format!("{word} {kind}")
}

/// A place that people go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Business {
    pub(crate) name: String,
    pub(crate) category: &'static str,
    pub(crate) hours: &'static str,
}

/// Founds a business.
pub(crate) fn business(dice: &mut Dice) -> Business {
    const KINDS: [(&str, &[&str], &str); 10] = [
        ("cafe", &["Coffee", "Café", "Tea Room"], "Mo-Su 07:00-18:00"),
        ("restaurant", &["Kitchen", "Grill", "Noodle House"], "Tu-Su 12:00-23:00"),
        ("bakery", &["Bakery", "Bread & Cake"], "Mo-Sa 06:00-17:00"),
        ("pharmacy", &["Pharmacy"], "Mo-Sa 08:00-20:00"),
        ("school", &["Primary School", "Grammar School"], "Mo-Fr 08:00-16:00"),
        ("library", &["Library", "Reading Room"], "Tu-Sa 10:00-19:00"),
        ("museum", &["Museum", "Gallery", "Collection"], "We-Su 10:00-18:00"),
        ("hotel", &["Hotel", "Inn"], "24/7"),
        ("supermarket", &["Market", "Grocers"], "Mo-Sa 07:00-22:00"),
        ("workshop", &["Boat Repair", "Bicycles", "Instruments"], "Mo-Fr 09:00-18:00"),
    ];
    let kinds: Vec<_> = KINDS.iter().collect();
    let (category, words, hours) = dice.pick(&kinds);
    let name = format!("{} {}", dice.pick(&STREETS), dice.pick(words));
    Business { name, category, hours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streets_keep_their_names_and_their_neighbours_have_others() {
        assert_eq!(street(Direction::North, 0), "Anchor Boulevard");
        assert_eq!(street(Direction::East, -3), street(Direction::East, -3));
        for number in -34..34 {
            for direction in [Direction::North, Direction::East] {
                assert_ne!(street(direction, number), street(direction, number + 1));
            }
        }
        let mut names: Vec<_> = (-34..34).map(|number| street(Direction::East, number)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 68);
    }

    #[test]
    fn business_has_a_name_that_fits_its_category() {
        for i in 0..200 {
            let business = business(&mut Dice::new(3, i, 0));
            assert!(business.name.contains(' ') && !business.hours.is_empty(), "{business:?}");
            if business.category == "pharmacy" {
                assert!(business.name.ends_with("Pharmacy"), "{business:?}");
            }
        }
    }
}
