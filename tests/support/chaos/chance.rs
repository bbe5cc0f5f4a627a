//! Choices that follow from a seed: the same seed makes the same choices on every machine and with
//! every version of every crate, so that a seed that was printed can be run again.

use std::ops::Range;
use std::time::Duration;

/// A stream of choices (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The choices of a seed for one purpose.
    pub fn of(seed: u64, purpose: &str) -> Chance {
        let mixed =
            purpose.bytes().fold(seed, |mixed, byte| Chance(mixed ^ u64::from(byte)).draw());
        Chance(mixed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.draw() % (range.end - range.start)
    }

    /// The place of one of so many.
    pub fn place(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).expect("as many as fit in memory");
        usize::try_from(self.within(0..count)).expect("less than the count")
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.within(0..100) < cases
    }

    /// A time between two numbers of milliseconds.
    pub fn pause(&mut self, milliseconds: Range<u64>) -> Duration {
        Duration::from_millis(self.within(milliseconds))
    }

    /// Some order of the numbers below a count.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            order.swap(place, self.place(place + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_choices_for_ever() {
        let mut chance = Chance::of(7, "a purpose");
        let chosen: Vec<u64> = (0..4).map(|_| chance.within(0..1_000)).collect();
        let mut again = Chance::of(7, "a purpose");
        assert_eq!(chosen, (0..4).map(|_| again.within(0..1_000)).collect::<Vec<_>>());
        assert_ne!(Chance::of(7, "another").draw(), Chance::of(7, "a purpose").draw());
        assert_ne!(Chance::of(8, "a purpose").draw(), Chance::of(7, "a purpose").draw());
        let mut order = chance.order(4);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
