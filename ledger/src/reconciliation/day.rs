//! A day of an account as one of its sources has it.

use super::{
    book::{Book, Day},
    compares,
    orders::View,
    sheet::Sheet,
};
use crate::{
    account::Account,
    agreement::{Party, Terms},
    date::Date,
    hash::Hash,
    matching::item::Source,
};

/// The figures of a value date in one source. Amounts in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFigures {
    /// Balance at its beginning; none where a book has no statement that tells it. The ledger's is
    /// always known.
    pub opening: Option<i128>,
    /// What its items come to.
    pub day: Day,
    /// RFC 6962 tree hash over its items in order: of a book over the entries' bytes, of the ledger
    /// over the postings'.
    pub digest: Hash,
}

impl DayFigures {
    /// Balance at its end, counted from nothing where the opening balance is not known.
    pub fn closing(&self) -> i128 {
        self.opening.unwrap_or(0) + self.day.movement()
    }

    /// What a party has to sign of the day. Where the opening balance is not known, the party's own is
    /// given, and holds. None if a figure is larger than a view can say.
    pub fn view(&self, own_opening: i64) -> Option<View> {
        let opening = self.opening.unwrap_or(own_opening.into());
        Some(View {
            opening: i64::try_from(opening).ok()?,
            credit_count: self.day.credit_count,
            credits: u64::try_from(self.day.credits).ok()?,
            debit_count: self.day.debit_count,
            debits: u64::try_from(self.day.debits).ok()?,
            closing: i64::try_from(opening + self.day.movement()).ok()?,
            digest: self.digest,
        })
    }
}

/// What terms compare, the ledger first.
pub fn sources(terms: &Terms) -> impl Iterator<Item = Source> {
    let all = [Source::Ledger, Source::OwnerBook, Source::ServicerBook];
    all.into_iter().filter(|source| compares(terms, *source))
}

/// What a party's view of a day is of: its own book, or the ledger where that is not compared.
pub fn viewed(party: Party, terms: &Terms) -> Source {
    match party {
        Party::Owner if terms.sources.owner_book => Source::OwnerBook,
        Party::Servicer if terms.sources.servicer_book => Source::ServicerBook,
        _ => Source::Ledger,
    }
}

impl Sheet {
    /// A day of the account as a source has it. `account` is the sheet's own. Takes one step a date
    /// and statement of the source.
    pub fn figures(&self, account: &Account, source: Source, date: Date) -> DayFigures {
        let nothing = Book::default();
        let book = self.books.get(&source).unwrap_or(&nothing);
        let (day, digest) = book.day(date);
        let opening = match source {
            Source::Ledger => Some(account.balance - book.movement_from(date)),
            Source::OwnerBook | Source::ServicerBook => book.opening(date),
        };
        DayFigures { opening, day, digest }
    }
}
