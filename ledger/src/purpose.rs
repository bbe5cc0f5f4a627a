//! What an entry of a book is for, in the relationship of the two institutions.

use counterfoil_proto::v1;

use crate::reason::Reason;

/// What an entry is for, where it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Purpose {
    /// Money that is lent.
    Lending = 1,
    /// Money that is paid back.
    Repayment = 2,
}

impl Purpose {
    /// Reads its number: 0 says nothing, any other that is not listed is refused.
    pub fn of(number: i32) -> Result<Option<Purpose>, Reason> {
        match v1::Purpose::try_from(number) {
            Ok(v1::Purpose::Unspecified) => Ok(None),
            Ok(v1::Purpose::Lending) => Ok(Some(Purpose::Lending)),
            Ok(v1::Purpose::Repayment) => Ok(Some(Purpose::Repayment)),
            Err(_) => Err(Reason::PurposeUnknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_schema() {
        for purpose in [Purpose::Lending, Purpose::Repayment] {
            assert_eq!(Purpose::of(purpose as i32), Ok(Some(purpose)));
        }
        assert_eq!(Purpose::of(0), Ok(None));
        for number in [-1, 3, i32::MAX] {
            assert_eq!(Purpose::of(number), Err(Reason::PurposeUnknown));
        }
    }
}
