//! Bytes to fields: `:61:` and the lines below it, up to the next field.
//!
//! What stands around the text block is passed over: the blocks `{1:`, `{2:`, `{5:` but for the
//! sender, the header lines that banks put in front, control characters of old transmission
//! protocols. A line is UTF-8 or, if it is not, Latin-1, which has a character for every byte:
//! what is signed consists of ASCII alone, so nothing that is signed depends on the choice.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::BufRead;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::uetr::Uetr;

use crate::formats::error::FormatError;
use crate::formats::xml::Source;

/// Longest line, in bytes. SWIFT's have 65 characters; some banks do not break :86: at all.
pub const LINE_SIZE_MAX: usize = 16 * 1024;
/// Largest field, in bytes. SWIFT's largest, :86:, has six lines of 65.
pub const FIELD_SIZE_MAX: usize = 64 * 1024;

/// The fields of MT940, MT942 and MT950. Any other text between colons at the beginning of a line
/// belongs to the field above: narrative breaks wherever the line is full, even inside of a time.
const TAGS: [&str; 20] = [
    "20", "21", "25", "25P", "28", "28C", "60F", "60M", "61", "86", "62F", "62M", "64", "65",
    "34F", "13", "13D", "90C", "90D", "NS",
];

/// Header lines that some banks write like fields.
const TYPES: [&str; 3] = ["940", "942", "950"];

/// A field with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) tag: &'static str,
    pub(super) lines: Vec<String>,
    /// The line that it begins in.
    pub(super) line: usize,
    size: usize,
}

impl Field {
    pub(super) fn place(&self) -> String {
        format!("line {}, :{}:", self.line, self.tag)
    }

    /// Its first line.
    pub(super) fn text(&self) -> &str {
        self.lines.first().map_or("", |line| line.trim_end())
    }

    pub(super) fn refuse(&self, fact: impl Into<String>, fix: impl Into<String>) -> FormatError {
        FormatError::new(self.place(), fact, fix)
    }
}

/// What the blocks before the text say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Who sent the message: the servicer of the account.
    pub(super) sender: Option<Bic>,
    /// Of block 3, field 121.
    pub(super) uetr: Option<Uetr>,
    /// 940 in `{2:O940…`.
    pub(super) message_type: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Envelope(Envelope),
    Field(Field),
    /// The end of the text block.
    End,
}

/// The fields of a reader's bytes.
pub(super) struct Lines<R> {
    source: Source<R>,
    /// What was met while a field was still open.
    next: VecDeque<Token>,
    open: Option<Field>,
    line: Vec<u8>,
}

/// What a line is.
enum Line<'l> {
    /// A field begins.
    Begin(&'static str, &'l str),
    /// More of the open field, or a header of a bank's own.
    More(&'l str),
    /// Something between messages.
    Outside(Vec<Token>),
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(bytes: R) -> Lines<R> {
        let source = Source::new(bytes);
        Lines { source, next: VecDeque::new(), open: None, line: Vec::new() }
    }

    /// The next token; none at the end.
    pub(super) fn token(&mut self) -> Result<Option<Token>, FormatError> {
        loop {
            if let Some(token) = self.next.pop_front() {
                return Ok(Some(token));
            }
            let number = self.source.line();
            self.read_line()?;
            if self.line.is_empty() {
                return Ok(self.open.take().map(Token::Field));
            }
            let text = decode(&self.line);
            match classify(&text) {
                Line::Begin(tag, text) => {
                    let lines = vec![text.to_owned()];
                    let begun = Field { tag, lines, line: number, size: text.len() };
                    if let Some(complete) = self.open.replace(begun) {
                        return Ok(Some(Token::Field(complete)));
                    }
                }
                Line::More(text) => {
                    if let Some(field) = &mut self.open {
                        field.push(text)?;
                    }
                }
                Line::Outside(tokens) => {
                    self.next.extend(self.open.take().map(Token::Field));
                    self.next.extend(tokens);
                }
            }
        }
    }

    /// Fills `line` with the next line and its end; leaves it empty at the end of the file.
    fn read_line(&mut self) -> Result<(), FormatError> {
        self.line.clear();
        self.source.begin_piece(LINE_SIZE_MAX);
        let read = self.source.read_until(b'\n', &mut self.line);
        read.map_err(|error| self.source.refusal(&error))?;
        Ok(())
    }
}

impl Field {
    fn push(&mut self, line: &str) -> Result<(), FormatError> {
        self.size += line.len() + 1;
        if self.size > FIELD_SIZE_MAX {
            let fact = format!("a field of more than {FIELD_SIZE_MAX} bytes");
            return Err(self.refuse(fact, "check what wrote this file"));
        }
        self.lines.push(line.to_owned());
        Ok(())
    }
}

/// UTF-8, or else Latin-1.
fn decode(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(line.iter().map(|byte| char::from(*byte)).collect()),
    }
}

fn classify(line: &str) -> Line<'_> {
    // Transmission protocols put SOH and ETX around a message.
    let line = line.trim_matches(|character: char| character.is_control());
    let ends = line.trim_end() == "-" || line.starts_with("-}");
    let envelope = line.find("{1:").filter(|at| *at == 0 || ends);
    if ends || envelope.is_some() {
        let end = ends.then_some(Token::End);
        let envelope = envelope.map(|at| Token::Envelope(envelope_of(&line[at..])));
        return Line::Outside(end.into_iter().chain(envelope).collect());
    }
    let begun = line.strip_prefix(':').and_then(|rest| rest.split_once(':'));
    let Some((tag, text)) = begun else { return Line::More(line) };
    if TYPES.contains(&tag) {
        return Line::Outside(vec![Token::End]);
    }
    match TAGS.iter().find(|known| **known == tag) {
        Some(known) => Line::Begin(known, text),
        None => Line::More(line),
    }
}

/// Reads the blocks of a line such as `{1:F01…}{2:O940…}{3:{121:…}}{4:`.
fn envelope_of(line: &str) -> Envelope {
    let block = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        Some(rest.split_once('}').map_or(rest, |(content, _)| content))
    };
    let second = block("{2:").unwrap_or_default();
    let message_type = second.get(1..4).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    // Of a message to us, block 2 names the sender behind the time and the date; of one from us,
    // block 1 does.
    let sender = match second.get(..1) {
        Some("O") => second.get(14..26).filter(|_| {
            second.get(4..14).is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_digit()))
        }),
        Some("I") => block("{1:").and_then(|first| first.get(3..15)),
        _ => None,
    };
    Envelope {
        sender: sender.and_then(bic_of_terminal),
        uetr: block("{121:").and_then(|text| Uetr::parse(text).ok()),
        message_type: message_type.map(str::to_owned),
    }
}

/// A logical terminal is a BIC with a letter between its eighth and its ninth character.
fn bic_of_terminal(terminal: &str) -> Option<Bic> {
    let (institution, branch) = (terminal.get(..8)?, terminal.get(9..12)?);
    Bic::parse(&format!("{institution}{branch}")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tokens(text: &[u8]) -> Vec<Token> {
        let mut lines = Lines::new(text);
        std::iter::from_fn(|| lines.token().unwrap()).collect()
    }

    #[test]
    fn fields_and_what_stands_around_them() {
        let text = b"\x01\r\n{1:F01ALPSCHZZAXXX0000000000}{2:O9401157091028SETLCHZZXXXX00000000000910281157N}\
            {3:{121:eb6305c9-1f7f-49de-aed0-16487c27b42d}}{4:\r\n:20:REF\r\n:86:eins\r\n:12:11 zwei\r\n\
            -}{5:}{1:F01ALPSCHZZAXXX}{2:I940SETLCHZZXXXXN}{4:\n:NS:\xe9\n-\x03";
        let read = tokens(text);
        let Token::Envelope(envelope) = &read[0] else { panic!("{read:?}") };
        assert_eq!(envelope.sender.unwrap().as_str(), "SETLCHZZXXX");
        assert_eq!(envelope.message_type.as_deref(), Some("940"));
        assert!(envelope.uetr.is_some());
        let Token::Field(details) = &read[2] else { panic!("{read:?}") };
        assert_eq!(details.lines, ["eins", ":12:11 zwei"]);
        assert_eq!((details.tag, details.line), ("86", 4));
        assert_eq!(read[3], Token::End);
        let Token::Envelope(envelope) = &read[4] else { panic!("{read:?}") };
        assert_eq!(envelope.sender.unwrap().as_str(), "ALPSCHZZXXX");
        let Token::Field(narrative) = &read[5] else { panic!("{read:?}") };
        assert_eq!(narrative.text(), "\u{e9}");
        assert_eq!((&read[6], read.len()), (&Token::End, 7));
    }

    #[test]
    fn lines_and_fields_are_bounded() {
        let long = vec![b'x'; LINE_SIZE_MAX + 1];
        let error = Lines::new(long.as_slice()).token().unwrap_err();
        assert!(error.fact.contains("larger than the limit"), "{error}");
        let many = format!(":86:{}", "x\n".repeat(FIELD_SIZE_MAX));
        let error = Lines::new(many.as_bytes()).token().unwrap_err();
        assert_eq!(error.place, "line 1, :86:");
    }
}
