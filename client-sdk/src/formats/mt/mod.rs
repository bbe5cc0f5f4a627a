//! The statements of SWIFT's older messages: MT940 and MT950 at the end of a day, MT942 during it.
//!
//! Fields are read as banks write them: blocks or none, CR LF or LF, references longer than
//! SWIFT's, headers in front. What moves money is strict: a date has to exist, an amount to have its
//! comma, a side to be one of six marks, and a field to stand where it means something. Pages of
//! one statement are joined if they follow each other in the file: the intermediate balance that
//! ends one begins the next.
//!
//! Entries are read one by one; there is never more than one field in memory.

mod details;
mod lines;
mod message;
mod statement_line;
#[cfg(test)]
mod tests;
mod values;

use std::collections::VecDeque;
use std::io::BufRead;

use self::details::Details;
use self::lines::Envelope;
use self::lines::Field;
use self::lines::Lines;
use self::lines::Token;
use self::message::Message;
use self::message::Pages;
use self::message::put_once;
use self::values::refuse_other;
use crate::formats::error::FormatError;
use crate::formats::fields::ExponentOf;
use crate::formats::statement::StatedTotal;
use crate::formats::statement::Statement;
use crate::formats::stream;
use crate::formats::stream::Event;
use crate::formats::stream::Events;
use crate::formats::stream::STATEMENTS_MAX;
use crate::formats::stream::Steps;
use crate::formats::xml;

pub use self::lines::FIELD_SIZE_MAX;
pub use self::lines::LINE_SIZE_MAX;

/// The fields that stand before the entries.
const HEADING: [&str; 9] = ["25", "25P", "28", "28C", "60F", "60M", "34F", "13", "13D"];

/// Whether a text looks like a message of this kind: its blocks, or a line with field 20.
pub fn looks_like(text: &str) -> bool {
    const LINES_MAX: usize = 10;
    text.lines().take(LINES_MAX).any(|line| {
        let line = line.trim_matches(|character: char| character.is_control());
        line.starts_with("{1:F") || line.starts_with(":20:")
    })
}

/// Reads the statements of a file that is in memory. All or none are read.
pub fn read(bytes: &[u8], exponent_of: ExponentOf<'_>) -> Result<Vec<Statement>, FormatError> {
    stream::collect(stream(bytes, exponent_of)?)
}

/// Reads the statements of a file of any length as a stream.
pub fn stream<'e>(
    bytes: impl BufRead + 'e,
    exponent_of: ExponentOf<'e>,
) -> Result<impl Iterator<Item = Result<Event, FormatError>> + 'e, FormatError> {
    Ok(Events::of(Reader::new(xml::without_mark(bytes)?, exponent_of)))
}

struct Reader<'e, R> {
    lines: Lines<R>,
    exponent_of: ExponentOf<'e>,
    /// Of the message that follows.
    envelope: Envelope,
    message: Option<Message>,
    /// Pages that ended with an intermediate balance: the next message may go on with them.
    held: Option<Pages>,
    statements: usize,
    ready: VecDeque<Event>,
}

impl<R: BufRead> Steps for Reader<'_, R> {
    fn ready(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn step(&mut self) -> Result<bool, FormatError> {
        match self.lines.token()? {
            Some(Token::Field(field)) if field.tag == "20" => {
                self.end_message()?;
                let envelope = std::mem::take(&mut self.envelope);
                self.message = Some(Message::new(field, envelope)?);
            }
            Some(Token::Field(field)) => self.field(field)?,
            Some(Token::End) => self.end_message()?,
            Some(Token::Envelope(envelope)) => {
                self.end_message()?;
                self.envelope = envelope;
            }
            None => {
                self.end_message()?;
                self.let_go();
                if self.statements > 0 {
                    return Ok(false);
                }
                return Err(FormatError::new(
                    "the file",
                    "it has no statement",
                    "give MT940, MT942 or MT950, which begin with :20:",
                ));
            }
        }
        Ok(true)
    }
}

impl<'e, R: BufRead> Reader<'e, R> {
    fn new(bytes: R, exponent_of: ExponentOf<'e>) -> Reader<'e, R> {
        Reader {
            lines: Lines::new(bytes),
            exponent_of,
            envelope: Envelope::default(),
            message: None,
            held: None,
            statements: 0,
            ready: VecDeque::new(),
        }
    }

    fn field(&mut self, field: Field) -> Result<(), FormatError> {
        let Some(message) = &mut self.message else {
            // Fields of a bank's own.
            if field.tag == "NS" {
                return Ok(());
            }
            return Err(field.refuse(
                "it stands outside of a statement",
                "begin the statement with :20:, or remove what remains of it",
            ));
        };
        if message.open.is_some() && HEADING.contains(&field.tag) {
            return Err(field.refuse("it stands behind the entries", "put it in front of them"));
        }
        match field.tag {
            "25" | "25P" => put_once(&mut message.account, field),
            "28" | "28C" => message.number(&field),
            "60F" | "60M" => message.opening(&field, self.exponent_of),
            "34F" => message.floor(&field, self.exponent_of),
            "13" | "13D" => message.made(&field),
            "61" => self.entry(&field),
            "86" => message.details(&field, self.exponent_of),
            "62F" | "62M" => self.closing(&field),
            "90C" | "90D" => self.stated(&field),
            // 21 refers to a request; 64 and 65 are available balances, which are no bookings.
            _ => Ok(()),
        }
    }

    /// The open statement of the message; begins it, or goes on with the pages before.
    fn open(&mut self) -> Result<Option<&mut Message>, FormatError> {
        let Some(message) = &mut self.message else { return Ok(None) };
        if message.open.is_none() {
            let began = message.begin()?;
            let same = self.held.take_if(|held| message.goes_on_with(held));
            match same {
                Some(pages) => message.open = Some(pages.open),
                None => {
                    if let Some(pages) = self.held.take() {
                        self.ready.push_back(pages.open.end());
                    }
                    self.statements += 1;
                    if self.statements > STATEMENTS_MAX {
                        let fact = format!("more than {STATEMENTS_MAX} statements");
                        return Err(message.reference.refuse(fact, "split it into several files"));
                    }
                    self.ready.push_back(began.begin());
                    message.open = Some(began);
                }
            }
        }
        Ok(Some(message))
    }

    fn entry(&mut self, field: &Field) -> Result<(), FormatError> {
        let exponent_of = self.exponent_of;
        let Some(message) = self.open()? else { return Ok(()) };
        if message.closed {
            return Err(field.refuse("it stands behind the closing balance", "put it in front"));
        }
        message.entries += 1;
        let before = message.take_entry();
        if let Some(open) = &mut message.open {
            let warnings = &mut open.statement.warnings;
            let currency = open.statement.currency.as_str();
            let mut entry = statement_line::read(field, currency, exponent_of, warnings)?;
            Details { entry: &mut entry, field, exponent_of, warnings }
                .read(field.lines.get(1..).unwrap_or_default());
            message.entry = Some(entry);
        }
        self.ready.extend(before);
        Ok(())
    }

    fn closing(&mut self, field: &Field) -> Result<(), FormatError> {
        let exponent_of = self.exponent_of;
        let Some(message) = self.open()? else { return Ok(()) };
        if std::mem::replace(&mut message.closed, true) {
            return Err(field.refuse("it stands here a second time", "keep one of them"));
        }
        let (currency, balance) = values::balance(field, exponent_of)?;
        let Some(open) = &mut message.open else { return Ok(()) };
        let statement = &mut open.statement;
        refuse_other(field, &currency, &statement.currency)?;
        if balance.date < statement.from {
            let fact = format!(
                "it is dated {}, before the opening balance of {}",
                balance.date, statement.from
            );
            return Err(field.refuse(fact, "correct the dates"));
        }
        statement.closing = Some(balance);
        statement.to = balance.date;
        statement.last_page = field.tag == "62F";
        Ok(())
    }

    /// `:90C:` and `:90D:`: a number, the currency and a sum.
    fn stated(&mut self, field: &Field) -> Result<(), FormatError> {
        let exponent_of = self.exponent_of;
        let Some(message) = self.open()? else { return Ok(()) };
        let Some(open) = &mut message.open else { return Ok(()) };
        let (count, rest) = values::digits(field.text());
        let (currency, _, rest) = values::currency(field, rest, exponent_of)?;
        refuse_other(field, &currency, &open.statement.currency)?;
        let (sum, _) = values::amount(field, rest, currency.as_str(), exponent_of)?;
        let total = StatedTotal { count: count.parse().ok(), units: Some(sum.units) };
        let stated = &mut open.statement.stated;
        *(if field.tag == "90C" { &mut stated.credits } else { &mut stated.debits }) = total;
        Ok(())
    }

    fn end_message(&mut self) -> Result<(), FormatError> {
        self.open()?;
        let Some(mut message) = self.message.take() else { return Ok(()) };
        if message.opening.is_some() && !message.closed {
            return Err(FormatError::new(
                message.place(":62F:"),
                "it is missing: the statement was cut",
                "get the whole statement",
            ));
        }
        message.uetr_of_the_only_entry();
        self.ready.extend(message.take_entry());
        let Some(mut open) = message.open.take() else { return Ok(()) };
        let statement = &mut open.statement;
        if statement.last_page {
            let opened = message.opening.as_ref().map(|opening| opening.balance.date);
            open.after(opened);
            self.ready.push_back(open.end());
        } else {
            self.held = Some(Pages {
                open,
                account: message.account_text(),
                number: message.sequence.electronic,
            });
        }
        Ok(())
    }

    /// Pages with which nothing goes on.
    fn let_go(&mut self) {
        if let Some(pages) = self.held.take() {
            self.ready.push_back(pages.open.end());
        }
    }
}
