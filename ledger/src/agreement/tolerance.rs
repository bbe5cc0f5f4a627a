//! How far amounts of what belongs together may differ.

use counterfoil_proto::v1;

use crate::{asset::AssetCode, instruction::AMOUNT_MAX, reason::Reason};

/// Basis points of the whole.
pub const BASIS_POINTS: u32 = 10_000;

/// The tolerance of an asset; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// Minor units.
    pub absolute: u64,
    /// Of the larger amount: 0 to 10,000.
    pub basis_points: u16,
    /// Minor units by which an exchanged amount may differ.
    pub exchange_rounding: u64,
}

impl Tolerance {
    /// Checks a tolerance's shape: amounts (115), the asset's code (120), basis points (132).
    pub fn of(message: &v1::Tolerance) -> Result<(AssetCode, Tolerance), Reason> {
        if message.absolute > AMOUNT_MAX || message.exchange_rounding > AMOUNT_MAX {
            return Err(Reason::AmountTooLarge);
        }
        let asset = AssetCode::parse(&message.asset).map_err(|_| Reason::AssetMalformed)?;
        let tolerance =
            Tolerance::new(message.absolute, message.basis_points, message.exchange_rounding);
        Ok((asset, tolerance.ok_or(Reason::ToleranceMalformed)?))
    }

    /// A tolerance in minor units, basis points, and minor units of a rounding.
    pub fn new(absolute: u64, basis_points: u32, exchange_rounding: u64) -> Option<Tolerance> {
        let valid = absolute <= AMOUNT_MAX
            && exchange_rounding <= AMOUNT_MAX
            && basis_points <= BASIS_POINTS;
        let basis_points = u16::try_from(basis_points).ok()?;
        valid.then_some(Tolerance { absolute, basis_points, exchange_rounding })
    }

    /// The tolerance as it was offered.
    pub fn message(&self, asset: &AssetCode) -> v1::Tolerance {
        v1::Tolerance {
            asset: asset.to_string(),
            absolute: self.absolute,
            basis_points: u32::from(self.basis_points),
            exchange_rounding: self.exchange_rounding,
        }
    }

    /// Whether two amounts, or sums of them, differ by no more than is allowed: the larger of the
    /// absolute tolerance and the basis points of the larger amount, rounded down.
    pub fn covers(&self, one: u128, two: u128) -> bool {
        let share = match one.max(two).checked_mul(u128::from(self.basis_points)) {
            Some(product) => product / u128::from(BASIS_POINTS),
            // Only sums of more than 2^64 amounts come here; then the absolute one holds.
            None => 0,
        };
        one.abs_diff(two) <= share.max(u128::from(self.absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tolerance_holds_and_rounds_down() {
        let tolerance = Tolerance { absolute: 5, basis_points: 10, exchange_rounding: 0 };
        for (one, two, covered) in [
            (100, 105, true),
            (100, 106, false),
            (9_999, 9_990, true),
            (9_999, 9_989, false),
            (10_000, 9_990, true),
            (9_990, 10_000, true),
            (10_000, 9_989, false),
            (u128::MAX, u128::MAX - 6, false),
            (u128::MAX, u128::MAX - 5, true),
        ] {
            assert_eq!(tolerance.covers(one, two), covered, "{one} {two}");
        }
        assert!(Tolerance::default().covers(7, 7));
        assert!(!Tolerance::default().covers(7, 8));
        let all = Tolerance { basis_points: 10_000, ..Tolerance::default() };
        assert!(all.covers(0, u128::from(u64::MAX)));
    }

    #[test]
    fn what_is_no_tolerance() {
        assert!(Tolerance::new(AMOUNT_MAX, 10_000, AMOUNT_MAX).is_some());
        assert!(Tolerance::new(0, 10_001, 0).is_none());
        assert!(Tolerance::new(AMOUNT_MAX + 1, 0, 0).is_none());
        assert!(Tolerance::new(0, u32::MAX, 0).is_none());
        assert!(Tolerance::new(0, 0, AMOUNT_MAX + 1).is_none());
    }
}
