//! What a party signs of a day.

use counterfoil_proto::v1;

use crate::commands::account::date;
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::words::source_phrase;
use crate::error::Failure;
use crate::exit::Exit;

/// The figures of a source as they are signed. Where the source tells no balance the closing balance
/// has to be given, and the opening balance follows from it and the day's movements; where it does,
/// a closing balance that is given has to be the same.
pub fn view(
    of: &Reconciled,
    own: v1::Source,
    day: &v1::DayPosition,
    closing: Option<i64>,
) -> Result<v1::DayFigures, Failure> {
    let found = day.sources.iter().find(|side| side.source() == own);
    let figures = found.and_then(|side| side.figures.clone()).ok_or_else(|| {
        let message = format!("nothing is known of {} in {}", date(day.date), source_phrase(own));
        Failure::new(Exit::Conflict, "POSITION_UNKNOWN", message)
            .fix("import the book of that day first: counterfoil recon import")
    })?;
    match (figures.opening_is_known, closing) {
        (true, Some(closing)) if closing != figures.closing_balance => {
            let message = format!("{} does not close at that balance", source_phrase(own));
            Err(Failure::new(Exit::Conflict, "CLOSING_DIFFERS", message)
                .fact(format!("given {}", of.amount(closing.into())))
                .fact(format!("found {}", of.amount(figures.closing_balance.into())))
                .fact("nothing was signed")
                .fix("counterfoil recon report shows what the balance is made of"))
        }
        (true, _) => Ok(figures),
        (false, None) => {
            let message = format!("{} tells no balance of {}", source_phrase(own), date(day.date));
            Err(Failure::new(Exit::Conflict, "BALANCE_UNKNOWN", message)
                .fact("no statement of that book covers the day")
                .fact("nothing was signed")
                .fix("import the statement, or say the balance that you sign: --closing AMOUNT"))
        }
        (false, Some(closing)) => {
            let moved = i128::from(figures.credits) - i128::from(figures.debits);
            let opening = i64::try_from(i128::from(closing) - moved).map_err(|_| {
                Failure::usage("AMOUNT_TOO_LARGE", "the opening balance would be too large")
            })?;
            Ok(v1::DayFigures { opening_balance: opening, closing_balance: closing, ..figures })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::account::tests::reconciled;
    use super::*;

    fn day(opening_is_known: bool) -> v1::DayPosition {
        let figures = v1::DayFigures {
            opening_balance: 100,
            opening_is_known,
            credits: 50,
            debits: 20,
            closing_balance: 130,
            ..v1::DayFigures::default()
        };
        let source = v1::Source::OwnerBook.into();
        let sources = vec![v1::SourceFigures { source, figures: Some(figures) }];
        v1::DayPosition { sources, ..v1::DayPosition::default() }
    }

    fn signed(known: bool, closing: Option<i64>) -> Result<(i64, i64), String> {
        view(&reconciled(), v1::Source::OwnerBook, &day(known), closing)
            .map(|figures| (figures.opening_balance, figures.closing_balance))
            .map_err(|failure| failure.code)
    }

    #[test]
    fn a_balance_that_is_not_the_own_one_is_not_signed() {
        assert_eq!(signed(true, None), Ok((100, 130)));
        assert_eq!(signed(true, Some(130)), Ok((100, 130)));
        assert_eq!(signed(true, Some(131)), Err("CLOSING_DIFFERS".to_owned()));
        assert_eq!(signed(false, None), Err("BALANCE_UNKNOWN".to_owned()));
        assert_eq!(signed(false, Some(200)), Ok((170, 200)));
        let other = view(&reconciled(), v1::Source::Ledger, &day(true), None).unwrap_err();
        assert_eq!(other.code, "POSITION_UNKNOWN");
    }
}
