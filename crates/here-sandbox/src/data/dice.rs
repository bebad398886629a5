//! Chance that is the same everywhere and every time: the city must not change from one start to the next.

/// A sequence of numbers that follows from the place it is thrown for. `SplitMix64`, whose quality is far beyond
/// what a drawing needs.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// Different purposes and different places have nothing to do with each other.
    pub(crate) fn new(purpose: u64, i: i32, j: i32) -> Self {
        let place = u64::from(i.cast_unsigned()) << 32 | u64::from(j.cast_unsigned());
        let mut dice = Self(place ^ purpose.wrapping_mul(STEP));
        // Neighbouring places differ in few bits, which the first number still shows.
        dice.next();
        dice
    }

    /// Throws a number from 0 to below `sides`.
    pub(crate) fn below(&mut self, sides: u32) -> u32 {
        let wide = u128::from(self.next()) * u128::from(sides);
        u32::try_from(wide >> 64).unwrap_or_default()
    }

    /// Throws a number in `from..=to`.
    pub(crate) fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// Throws a share from 0 to below 1, in steps of a thousandth.
    pub(crate) fn share(&mut self) -> f64 {
        f64::from(self.below(1000)) / 1000.0
    }

    pub(crate) fn one_in(&mut self, sides: u32) -> bool {
        self.below(sides) == 0
    }

    /// Picks one of these.
    ///
    /// # Panics
    ///
    /// Panics when there is none.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        let index = self.below(u32::try_from(of.len()).unwrap_or(u32::MAX));
        of.get(index as usize).expect("something to pick from")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throws(purpose: u64, i: i32, j: i32) -> Vec<u32> {
        let mut dice = Dice::new(purpose, i, j);
        (0..8).map(|_| dice.below(1000)).collect()
    }

    #[test]
    fn same_place_throws_the_same() {
        assert_eq!(throws(1, -3, 7), throws(1, -3, 7));
        for other in [throws(2, -3, 7), throws(1, -3, 8), throws(1, 3, 7), throws(1, 7, -3)] {
            assert_ne!(throws(1, -3, 7), other);
        }
    }

    #[test]
    fn every_side_comes_up_about_as_often() {
        let mut seen = [0_u32; 6];
        for i in 0..100 {
            for j in 0..60 {
                seen[Dice::new(9, i, j).below(6) as usize] += 1;
            }
        }
        assert!(seen.iter().all(|&count| (900..1100).contains(&count)), "{seen:?}");
        let mut dice = Dice::new(0, 0, 0);
        assert!((0..1000).all(|_| (3..=5).contains(&dice.between(3, 5))));
        assert_eq!(dice.pick(&["only"]), "only");
    }
}
