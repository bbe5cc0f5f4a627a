//! What the things of reconciliation are called: one word for tables and programs, a phrase for
//! sentences.

use counterfoil_client::reconciliation;
use counterfoil_proto::v1;

pub use super::agreement::words::{category, category_named};

/// Which two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Between {
    /// The ledger's postings and the owner's book
    LedgerOwner,
    /// The ledger's postings and the servicer's book
    LedgerServicer,
    /// The owner's book and the servicer's book
    OwnerServicer,
}

impl Between {
    /// As requests say it.
    pub fn message(self) -> v1::Comparison {
        match self {
            Between::LedgerOwner => v1::Comparison::LedgerOwner,
            Between::LedgerServicer => v1::Comparison::LedgerServicer,
            Between::OwnerServicer => v1::Comparison::OwnerServicer,
        }
    }
}

/// As requests say it: unspecified without a choice.
pub fn chosen(between: Option<Between>) -> v1::Comparison {
    between.map_or(v1::Comparison::Unspecified, Between::message)
}

/// A comparison, in one word.
pub fn comparison(comparison: v1::Comparison) -> &'static str {
    match comparison {
        v1::Comparison::Unspecified => "-",
        v1::Comparison::LedgerOwner => "ledger-owner",
        v1::Comparison::LedgerServicer => "ledger-servicer",
        v1::Comparison::OwnerServicer => "owner-servicer",
    }
}

/// Its two sources, as phrases: `the ledger` and `the owner's book`.
pub fn both(comparison: v1::Comparison) -> [&'static str; 2] {
    let sources = reconciliation::sources(comparison);
    sources.unwrap_or_default().map(source_phrase)
}

/// A source, in one word.
pub fn source(source: v1::Source) -> &'static str {
    match source {
        v1::Source::Unspecified => "-",
        v1::Source::Ledger => "ledger",
        v1::Source::OwnerBook => "owner",
        v1::Source::ServicerBook => "servicer",
    }
}

/// The source that is called so.
pub fn source_named(word: &str) -> Option<v1::Source> {
    use v1::Source::{Ledger, OwnerBook, ServicerBook};
    [Ledger, OwnerBook, ServicerBook].into_iter().find(|one| source(*one) == word)
}

/// A source, for sentences.
pub fn source_phrase(source: v1::Source) -> &'static str {
    match source {
        v1::Source::Unspecified => "an unknown source",
        v1::Source::Ledger => "the ledger",
        v1::Source::OwnerBook => "the owner's book",
        v1::Source::ServicerBook => "the servicer's book",
    }
}

/// What found that items belong together, in one word: `UETR`, `END_TO_END_ID`.
pub fn pass(pass: v1::MatchPass) -> &'static str {
    pass.as_str_name().trim_start_matches("MATCH_PASS_")
}

/// The same for sentences: `by the same UETR`.
pub fn pass_phrase(pass: v1::MatchPass) -> &'static str {
    match pass {
        v1::MatchPass::Unspecified => "by a pass that this program does not know",
        v1::MatchPass::Uetr => "by the same UETR",
        v1::MatchPass::TransactionId => "by the same transaction id",
        v1::MatchPass::EndToEndId => "by the same end-to-end id",
        v1::MatchPass::InstructionId => "by the same instruction id",
        v1::MatchPass::Contra => "as an entry and its reversal in one book",
        v1::MatchPass::Group => "because they were booked under one group",
        v1::MatchPass::Unreferenced => "by amount, side, date and counterparty alone",
        v1::MatchPass::Sum => "because some add up to one",
        v1::MatchPass::Confirmed => "by people",
    }
}

/// The key of a pass by keys, for sentences.
pub fn key_phrase(pass: v1::MatchPass) -> &'static str {
    match pass {
        v1::MatchPass::Uetr => "UETR",
        v1::MatchPass::TransactionId => "transaction id",
        v1::MatchPass::EndToEndId => "end-to-end id",
        v1::MatchPass::InstructionId => "instruction id",
        _ => "key",
    }
}

/// How far the work on a break is, in one word.
pub fn state(state: v1::BreakState) -> &'static str {
    state.as_str_name().trim_start_matches("BREAK_STATE_")
}

/// The state that is called so, in small letters.
pub fn state_named(word: &str) -> Option<v1::BreakState> {
    let all = (1..).map_while(|number| v1::BreakState::try_from(number).ok());
    all.into_iter().find(|one| state(*one).to_lowercase().replace('_', "-") == word)
}

/// Whether nothing is left to do on a break.
pub fn is_ended(state: v1::BreakState) -> bool {
    use v1::BreakState::{Healed, Resolved, WrittenOff};
    matches!(state, Resolved | WrittenOff | Healed)
}

/// A party, in one word.
pub fn party(party: v1::Party) -> &'static str {
    match party {
        v1::Party::Unspecified => "-",
        v1::Party::Servicer => "servicer",
        v1::Party::Owner => "owner",
    }
}

/// The same for programs: none where nobody is meant.
pub fn party_json(of: v1::Party) -> Option<&'static str> {
    Some(party(of)).filter(|word| *word != "-")
}

/// How a break may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ending {
    /// What was missing has come: the items are a match
    LateMatch,
    /// A transfer corrects it
    CorrectingTransfer,
    /// A transfer returns it
    Return,
    /// The difference is a charge, and accepted
    Charge,
    /// Your bank bears it; another of its keys has to agree
    WriteOff,
    /// Nothing is done
    NoAction,
    /// The book that was wrong has been corrected
    BookCorrected,
}

impl Ending {
    /// As requests say it.
    pub fn message(self) -> v1::ResolutionKind {
        match self {
            Ending::LateMatch => v1::ResolutionKind::LateMatch,
            Ending::CorrectingTransfer => v1::ResolutionKind::CorrectingTransfer,
            Ending::Return => v1::ResolutionKind::Return,
            Ending::Charge => v1::ResolutionKind::ChargeAccepted,
            Ending::WriteOff => v1::ResolutionKind::WriteOff,
            Ending::NoAction => v1::ResolutionKind::NoAction,
            Ending::BookCorrected => v1::ResolutionKind::BookCorrected,
        }
    }

    /// Whether money moves.
    pub fn transfers(self) -> bool {
        matches!(self, Ending::CorrectingTransfer | Ending::Return)
    }
}

/// How a break ends, as it is written on the command line.
pub fn ending(kind: v1::ResolutionKind) -> &'static str {
    match kind {
        v1::ResolutionKind::Unspecified => "-",
        v1::ResolutionKind::LateMatch => "late-match",
        v1::ResolutionKind::CorrectingTransfer => "correcting-transfer",
        v1::ResolutionKind::Return => "return",
        v1::ResolutionKind::ChargeAccepted => "charge",
        v1::ResolutionKind::WriteOff => "write-off",
        v1::ResolutionKind::NoAction => "no-action",
        v1::ResolutionKind::BookCorrected => "book-corrected",
    }
}

/// The same for sentences.
pub fn ending_phrase(kind: v1::ResolutionKind) -> &'static str {
    match kind {
        v1::ResolutionKind::Unspecified => "in a way that this program does not know",
        v1::ResolutionKind::LateMatch => "the items are a match",
        v1::ResolutionKind::CorrectingTransfer => "a transfer corrects it",
        v1::ResolutionKind::Return => "a transfer returns it",
        v1::ResolutionKind::ChargeAccepted => "the difference is a charge, and accepted",
        v1::ResolutionKind::WriteOff => "the bank that offers it writes it off",
        v1::ResolutionKind::NoAction => "nothing is done",
        v1::ResolutionKind::BookCorrected => "the book that was wrong has been corrected",
    }
}

/// What an entry is for; empty where its book does not say.
pub fn purpose(purpose: v1::Purpose) -> &'static str {
    match purpose {
        v1::Purpose::Unspecified => "",
        v1::Purpose::Lending => "lending",
        v1::Purpose::Repayment => "repayment",
    }
}

/// `66.66 %`, of hundredths of a percent; `-` where there is nothing to match.
pub fn rate(hundredths: Option<u32>) -> String {
    hundredths.map_or("-".to_owned(), |it| format!("{}.{:02} %", it / 100, it % 100))
}

/// `1 item`, `2 items`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for one in [v1::Source::Ledger, v1::Source::OwnerBook, v1::Source::ServicerBook] {
            assert_eq!(source_named(source(one)), Some(one));
        }
        assert_eq!(source_named("-"), None);
        for number in 1..=8 {
            let one = v1::BreakState::try_from(number).unwrap();
            assert_eq!(state_named(&state(one).to_lowercase().replace('_', "-")), Some(one));
        }
        for one in Ending::value_variants() {
            let name = one.to_possible_value().unwrap();
            assert_eq!(name.get_name(), ending(one.message()));
        }
        for one in Between::value_variants() {
            let name = one.to_possible_value().unwrap();
            assert_eq!(name.get_name(), comparison(one.message()));
        }
    }

    #[test]
    fn rates_have_two_decimals() {
        assert_eq!((rate(Some(9_905)).as_str(), rate(None).as_str()), ("99.05 %", "-"));
        assert_eq!(rate(Some(10_000)), "100.00 %");
    }
}
