//! `:86:` and the supplementary details of `:61:`: what banks put into narrative that a machine may
//! read safely. Three ways are known: subfields of two digits (`166?00GUTSCHRIFT?20EREF+…`), as the
//! German-speaking countries write them, their key words alone, one a line, and code words between
//! slashes (`/EREF/…/CNTP/…`), as the Dutch and SWIFT itself do. From any other narrative nothing
//! is taken.

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::uetr::Uetr;

use super::lines::Field;
use super::values::Part;
use super::values::amount;
use super::values::currency;
use crate::formats::error::Warnings;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::lenient_reference;
use crate::formats::statement::Entry;
use crate::formats::statement::Returned;

/// Length of a full subfield of purpose: what is shorter does not go on in the next.
const PURPOSE_LENGTH: usize = 27;

/// Most subfields or code words of one narrative that are looked at.
const PARTS_MAX: usize = 200;

/// What a code word says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    EndToEndId,
    TransactionId,
    InstructionId,
    GroupId,
    Uetr,
    /// The BIC of the other side's bank.
    Counterparty,
    /// Account, BIC, name and city of the other side.
    CounterpartyParts,
    ReturnReason,
    OriginalAmount,
    Charges,
    /// Something else; it ends the value before it.
    Other,
}

const WORDS: [(&str, Meaning); 37] = [
    ("EREF", Meaning::EndToEndId),
    ("ROC", Meaning::EndToEndId),
    ("TXID", Meaning::TransactionId),
    ("IREF", Meaning::InstructionId),
    ("PREF", Meaning::GroupId),
    ("KREF", Meaning::GroupId),
    ("UETR", Meaning::Uetr),
    ("BIC", Meaning::Counterparty),
    ("CNTP", Meaning::CounterpartyParts),
    ("RTRN", Meaning::ReturnReason),
    ("OCMT", Meaning::OriginalAmount),
    ("CHGS", Meaning::Charges),
    ("ABWA", Meaning::Other),
    ("ABWE", Meaning::Other),
    ("ACCW", Meaning::Other),
    ("BENM", Meaning::Other),
    ("BUSP", Meaning::Other),
    ("COAM", Meaning::Other),
    ("CRED", Meaning::Other),
    ("CSID", Meaning::Other),
    ("DEBT", Meaning::Other),
    ("EXCH", Meaning::Other),
    ("IACC", Meaning::Other),
    ("IBAN", Meaning::Other),
    ("ISDT", Meaning::Other),
    ("MARF", Meaning::Other),
    ("MREF", Meaning::Other),
    ("NAME", Meaning::Other),
    ("OAMT", Meaning::Other),
    ("ORDP", Meaning::Other),
    ("PURP", Meaning::Other),
    ("REMI", Meaning::Other),
    ("SVCL", Meaning::Other),
    ("SVWZ", Meaning::Other),
    ("TRCD", Meaning::Other),
    ("TRTP", Meaning::Other),
    ("ULTB", Meaning::Other),
];

fn meaning(word: &str) -> Option<Meaning> {
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// Puts what narrative says into an entry.
pub(super) struct Details<'d> {
    pub(super) entry: &'d mut Entry,
    pub(super) field: &'d Field,
    pub(super) exponent_of: ExponentOf<'d>,
    pub(super) warnings: &'d mut Warnings,
}

impl Details<'_> {
    /// Reads lines of narrative. Lines break where they are full, so they are joined as they are.
    pub(super) fn read(&mut self, lines: &[String]) {
        let text = lines.concat();
        if let Some((delimiter, rest)) = structured(&text) {
            self.subfields(rest, delimiter);
        } else if text.starts_with('/') {
            self.code_words(&text);
        } else if key_word(&text).is_some() {
            self.key_words(lines);
        }
    }

    /// A key word at the beginning of each line. Whether a value goes on in a line without one is
    /// not known, so that such a value is not taken.
    fn key_words(&mut self, lines: &[String]) {
        let mut lines = lines.iter().take(PARTS_MAX).peekable();
        while let Some(line) = lines.next() {
            let goes_on = lines.peek().is_some_and(|next| key_word(next).is_none());
            if let Some((meaning, value)) = key_word(line).filter(|_| !goes_on) {
                self.take(meaning, value);
            }
        }
    }

    /// Subfields: 20 to 29 and 60 to 63 hold the purpose, 30 the other side's bank.
    fn subfields(&mut self, text: &str, delimiter: char) {
        let mut purpose: Vec<&str> = Vec::new();
        for part in text.split(delimiter).take(PARTS_MAX) {
            let Some((number, content)) = part.split_at_checked(2) else { continue };
            match number.parse::<u8>() {
                Ok(20..=29 | 60..=63) => purpose.push(content),
                Ok(30) => self.take(Meaning::Counterparty, content),
                _ => {}
            }
        }
        let mut parts = purpose.into_iter().peekable();
        while let Some(part) = parts.next() {
            let Some((meaning, value)) = key_word(part) else { continue };
            let (mut value, mut last) = (value.to_owned(), part);
            while last.chars().count() == PURPOSE_LENGTH
                && let Some(more) = parts.next_if(|more| key_word(more).is_none())
            {
                value.push_str(more);
                last = more;
            }
            self.take(meaning, &value);
        }
    }

    /// Code words: a value ends where the next known word begins.
    fn code_words(&mut self, text: &str) {
        let mut open: Option<(Meaning, Vec<&str>)> = None;
        for part in text.split('/').take(PARTS_MAX) {
            match (meaning(part), &mut open) {
                (Some(next), _) => {
                    let complete = open.replace((next, Vec::new()));
                    self.take_parts(complete);
                }
                (None, Some((_, parts))) => parts.push(part),
                (None, None) => {}
            }
        }
        self.take_parts(open);
    }

    fn take_parts(&mut self, complete: Option<(Meaning, Vec<&str>)>) {
        match complete {
            Some((Meaning::CounterpartyParts, parts)) => {
                self.counterparty(parts.get(1).copied().unwrap_or_default());
            }
            Some((meaning, parts)) => self.take(meaning, &parts.join("/")),
            None => {}
        }
    }

    fn take(&mut self, meaning: Meaning, value: &str) {
        let value = value.trim().trim_end_matches('/');
        if value.is_empty() {
            return;
        }
        let slot = match meaning {
            Meaning::EndToEndId => &mut self.entry.end_to_end_id,
            Meaning::TransactionId => &mut self.entry.transaction_id,
            Meaning::InstructionId => &mut self.entry.instruction_id,
            Meaning::GroupId => &mut self.entry.group_id,
            Meaning::ReturnReason => {
                &mut self.entry.returned.get_or_insert_with(Returned::default).reason
            }
            Meaning::Uetr => return self.entry.uetr = self.entry.uetr.or(Uetr::parse(value).ok()),
            Meaning::Counterparty => return self.counterparty(value),
            Meaning::OriginalAmount | Meaning::Charges => return self.amount(meaning, value),
            Meaning::CounterpartyParts | Meaning::Other => return,
        };
        if slot.is_empty() {
            let part = Part { field: self.field, text: value };
            *slot = lenient_reference(&part, self.warnings);
        }
    }

    /// A BIC, unless it is a national number of a bank.
    fn counterparty(&mut self, text: &str) {
        if self.entry.counterparty.is_none() {
            self.entry.counterparty = Bic::parse(text.trim()).ok();
        }
    }

    /// A currency and an amount, such as `EUR4,5`.
    fn amount(&mut self, meaning: Meaning, value: &str) {
        let read = currency(self.field, value, self.exponent_of).and_then(|(code, _, rest)| {
            let field = self.field;
            let read = amount(field, rest, code.as_str(), self.exponent_of);
            read.map(|(amount, _)| amount)
        });
        let Ok(read) = read else { return };
        let own = read.currency == self.entry.amount.currency;
        match meaning {
            Meaning::Charges if own => self.entry.charges = Some(read.units),
            Meaning::OriginalAmount if !own => self.entry.original_amount = Some(read),
            _ => {}
        }
    }
}

/// The delimiter of structured narrative: a transaction code of three digits and a character that
/// is followed by a number of two digits.
fn structured(text: &str) -> Option<(char, &str)> {
    let (code, rest) = text.split_at_checked(3)?;
    let delimiter = rest.chars().next().filter(|character| "?>^~$".contains(*character))?;
    let numbered = rest.get(1..3).is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    let code = code.bytes().all(|byte| byte.is_ascii_digit());
    (code && numbered).then_some((delimiter, rest))
}

/// What a subfield of purpose that begins like `EREF+` holds.
fn key_word(part: &str) -> Option<(Meaning, &str)> {
    let (word, value) = part.split_at_checked(5)?;
    Some((meaning(word.strip_suffix('+')?)?, value))
}
