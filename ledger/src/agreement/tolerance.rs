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

    /// By how many minor units two amounts may differ: the larger of the absolute tolerance and the
    /// basis points of the larger amount, rounded down.
    pub fn limit(&self, one: u64, other: u64) -> u64 {
        let share = u128::from(one.max(other)) * u128::from(self.basis_points);
        let share = share / u128::from(BASIS_POINTS);
        self.absolute.max(u64::try_from(share).expect("a share of an amount is not larger than it"))
    }

    /// Whether two amounts differ by no more than the limit.
    pub fn allows(&self, one: u64, other: u64) -> bool {
        one.abs_diff(other) <= self.limit(one, other)
    }

    /// Whether two amounts, one of them exchanged, differ by no more than a rounding.
    pub fn allows_exchanged(&self, one: u64, other: u64) -> bool {
        one.abs_diff(other) <= self.exchange_rounding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_the_two_counts() {
        let tolerance = Tolerance::new(100, 25, 2).unwrap();
        assert_eq!(tolerance.limit(10_000, 1), 100, "25 basis points are 25");
        assert_eq!(tolerance.limit(1, 40_399), 100, "rounded down");
        assert_eq!(tolerance.limit(40_400, 40_399), 101);
        assert!(tolerance.allows(40_400, 40_299) && !tolerance.allows(40_400, 40_298));
        assert!(tolerance.allows_exchanged(7, 9) && !tolerance.allows_exchanged(7, 10));
        let whole = Tolerance::new(0, 10_000, 0).unwrap();
        assert_eq!(whole.limit(u64::MAX, 0), u64::MAX);
        assert!(!Tolerance::default().allows(1, 2) && Tolerance::default().allows(2, 2));
        assert!(Tolerance::new(0, 10_001, 0).is_none());
        assert!(Tolerance::new(AMOUNT_MAX + 1, 0, 0).is_none());
        assert!(Tolerance::new(0, u32::MAX, 0).is_none());
    }
}
