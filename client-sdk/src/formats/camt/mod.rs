//! What a bank says of an account in ISO 20022: the statement at the end of a day (camt.053), the
//! report during it (camt.052) and the notification (camt.054), every version, by rule instead of
//! by schema: a status is plain text or a `Cd`, a date `Dt` or `DtTm`, a BIC `BIC` or `BICFI`,
//! details stand in `NtryDtls` or in the entry, whatever the version.
//!
//! The entries are read one by one: of a file there is never more in memory than what stands
//! before the entries, and one entry. References that cannot stand in signed bytes are dropped with
//! a warning: somebody else wrote them, and the entry is true all the same. Amounts, sides, dates
//! and currencies are never guessed.

mod batch;
mod details;
mod entry;
mod heading;
mod party;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashSet;
use std::collections::VecDeque;
use std::io::BufRead;

use crate::formats::camt::entry::Context;
use crate::formats::camt::entry::Read;
use crate::formats::camt::entry::read_entry;
use crate::formats::camt::heading::Heading;
use crate::formats::camt::values::boolean;
use crate::formats::camt::values::number;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::fields::ExponentOf;
use crate::formats::message::MessageName;
use crate::formats::pacs::check_header;
use crate::formats::statement::Statement;
use crate::formats::statement::StatementKind;
use crate::formats::stream;
use crate::formats::stream::Event;
use crate::formats::stream::Events;
use crate::formats::stream::OpenStatement;
use crate::formats::stream::STATEMENTS_MAX;
use crate::formats::stream::Steps;
use crate::formats::xml;
use crate::formats::xml::Element;
use crate::formats::xml::Parser;
use crate::formats::xml::Step;

/// One of the three messages: they differ in three names.
struct Message {
    number: u16,
    kind: StatementKind,
    /// The element below `Document`; version 1 has it with `V01` at its end.
    root: &'static str,
    /// The statement, report or notification.
    statement: &'static str,
    /// Its pages.
    pagination: &'static str,
}

const MESSAGES: [Message; 3] = [
    Message {
        number: 52,
        kind: StatementKind::Intraday,
        root: "BkToCstmrAcctRpt",
        statement: "Rpt",
        pagination: "RptPgntn",
    },
    Message {
        number: 53,
        kind: StatementKind::EndOfDay,
        root: "BkToCstmrStmt",
        statement: "Stmt",
        pagination: "StmtPgntn",
    },
    Message {
        number: 54,
        kind: StatementKind::Notification,
        root: "BkToCstmrDbtCdtNtfctn",
        statement: "Ntfctn",
        pagination: "NtfctnPgntn",
    },
];

impl Message {
    fn has_root(&self, name: &str) -> bool {
        name.strip_prefix(self.root).is_some_and(|rest| rest.is_empty() || rest == "V01")
    }
}

/// What a message is of, if it is one of these.
pub fn kind_of(name: MessageName) -> Option<StatementKind> {
    message_of(name).map(|message| message.kind)
}

fn message_of(name: MessageName) -> Option<&'static Message> {
    MESSAGES.iter().find(|message| name.is("camt", message.number))
}

/// Reads the statements of one message that is in memory. All or none are read.
pub fn read(bytes: &[u8], exponent_of: ExponentOf<'_>) -> Result<Vec<Statement>, FormatError> {
    stream::collect(Events::of(Reader::new(xml::utf8(bytes)?.as_bytes(), exponent_of)))
}

/// Reads the statements of a message of any length as a stream, in any order of accounts.
pub fn stream<'e>(
    bytes: impl BufRead + 'e,
    exponent_of: ExponentOf<'e>,
) -> Result<impl Iterator<Item = Result<Event, FormatError>> + 'e, FormatError> {
    Ok(Events::of(Reader::new(xml::without_mark(bytes)?, exponent_of)))
}

struct Reader<'e, R> {
    parser: Parser<R>,
    exponent_of: ExponentOf<'e>,
    message: Option<&'static Message>,
    /// The element below `Document`.
    root: Option<u32>,
    /// The first statement: the group's header stands before it.
    first_statement: Option<u32>,
    /// The open statement, report or notification.
    element: Option<u32>,
    /// Its first entry: what comes after that does not belong to its heading.
    first_entry: Option<u32>,
    open: Option<OpenStatement>,
    pages: Pages,
    ids: HashSet<String>,
    statements: usize,
    ready: VecDeque<Event>,
}

/// Whether the message is part of a longer one.
#[derive(Clone, Copy)]
struct Pages {
    first: bool,
    last: bool,
}

impl<R: BufRead> Steps for Reader<'_, R> {
    fn ready(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn step(&mut self) -> Result<bool, FormatError> {
        match self.parser.step()? {
            Step::Opened(index) => self.opened(index)?,
            Step::Closed(index) => self.closed(index)?,
            Step::Passed => {}
            Step::Finished => return self.finish().map(|()| false),
        }
        Ok(true)
    }
}

impl<'e, R: BufRead> Reader<'e, R> {
    fn new(bytes: R, exponent_of: ExponentOf<'e>) -> Reader<'e, R> {
        Reader {
            parser: Parser::new(bytes),
            exponent_of,
            message: None,
            root: None,
            first_statement: None,
            element: None,
            first_entry: None,
            open: None,
            pages: Pages { first: true, last: true },
            ids: HashSet::new(),
            statements: 0,
            ready: VecDeque::new(),
        }
    }

    fn opened(&mut self, index: u32) -> Result<(), FormatError> {
        let element = self.parser.element(index);
        let Some(message) = self.message else {
            if self.parser.tree().is_document(index) {
                check_header(self.parser.tree())?;
                self.message = Some(message_in(element, self.parser.tree().message())?);
            }
            return Ok(());
        };
        let parent = element.parent().map(Element::index);
        if parent.is_some_and(|parent| self.parser.tree().is_document(parent))
            && message.has_root(element.name())
        {
            if self.root.is_some() {
                return Err(element.error("it stands here a second time", "keep one of them"));
            }
            self.root = Some(index);
        } else if parent.is_some() && parent == self.root && element.name() == message.statement {
            if self.statements == STATEMENTS_MAX {
                let fact = format!("more than {STATEMENTS_MAX} statements");
                return Err(element.error(fact, "split the message into several files"));
            }
            self.pages = group_pages(element)?;
            self.element = Some(index);
            self.first_statement.get_or_insert(index);
            self.first_entry = None;
            self.statements += 1;
        }
        Ok(())
    }

    fn closed(&mut self, index: u32) -> Result<(), FormatError> {
        if self.element == Some(index) {
            self.end(index)?;
            self.parser.take_out();
            return Ok(());
        }
        let element = self.parser.element(index);
        let within = self.element.is_some() && element.parent().map(Element::index) == self.element;
        if within && element.name() == "Ntry" {
            self.entry(index)?;
            self.parser.take_out();
        }
        Ok(())
    }

    /// Reads what stands before the entries, once the first of them or the end is there.
    fn begin(&mut self, index: u32) -> Result<OpenStatement, FormatError> {
        let element = self.parser.element(index);
        let message = self.message.ok_or_else(|| element.missing("Id"))?;
        let heading = Heading { message, element, exponent_of: self.exponent_of };
        let mut open = heading.read()?;
        open.statement.first_page &= self.pages.first;
        open.statement.last_page &= self.pages.last;
        let id = &open.statement.id;
        if !id.is_empty() && !self.ids.insert(id.clone()) {
            let id = element.require(&["Id"])?;
            return Err(id.error("another statement of the file has it too", "keep one of them"));
        }
        self.ready.push_back(open.begin());
        Ok(open)
    }

    fn entry(&mut self, index: u32) -> Result<(), FormatError> {
        let mut open = match (self.open.take(), self.element) {
            (Some(open), _) => open,
            (None, Some(statement)) => {
                self.first_entry = Some(index);
                self.begin(statement)?
            }
            (None, None) => return Ok(()),
        };
        let element = self.parser.element(index);
        let mut context = Context {
            kind: open.statement.kind,
            currency: &open.statement.currency,
            exponent_of: self.exponent_of,
            warnings: &mut open.statement.warnings,
        };
        let read = read_entry(element, &mut context)?;
        self.ready.push_back(match read {
            Read::Entry(entry) => open.entry(*entry),
            Read::LeftOut(reason) => open.left_out(element.path(), reason),
        });
        self.open = Some(open);
        Ok(())
    }

    fn end(&mut self, index: u32) -> Result<(), FormatError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.begin(index)?,
        };
        if let Some(first_entry) = self.first_entry {
            let mut children = self.parser.element(index).children();
            if let Some(late) = children
                .find(|child| child.index() >= first_entry && heading::is_of_heading(child.name()))
            {
                return Err(late.error("it stands behind the entries", "put it in front of them"));
            }
        }
        self.ready.push_back(open.end());
        self.element = None;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), FormatError> {
        let tree = self.parser.tree();
        let message = self.message.ok_or_else(xml::no_document)?;
        check_header(tree)?;
        let root = self.root.ok_or_else(|| tree.document().missing(message.root))?;
        let root = self.parser.element(root);
        if self.statements == 0 {
            return Err(root.missing(message.statement));
        }
        let header = root.find("GrpHdr")?.map(|header| (header, header.index()));
        match (header, self.first_statement) {
            (Some((header, index)), Some(first)) if index >= first => {
                Err(header.error("it stands behind a statement", "put it in front of them"))
            }
            _ => Ok(()),
        }
    }
}

fn message_in(document: Element<'_>, name: MessageName) -> Result<&'static Message, FormatError> {
    message_of(name).ok_or_else(|| {
        document.error(
            format!("it is {name}, which says nothing of an account's entries"),
            "give camt.053, camt.052 or camt.054",
        )
    })
}

/// Whether the message, of which a statement has just begun, has others before it and after it.
fn group_pages(statement: Element<'_>) -> Result<Pages, FormatError> {
    let pagination = match statement.parent() {
        Some(root) => root.descend(&["GrpHdr", "MsgPgntn"])?,
        None => None,
    };
    pagination.map_or(Ok(Pages { first: true, last: true }), pages)
}

fn pages(pagination: Element<'_>) -> Result<Pages, FormatError> {
    let page = number(pagination, "PgNb", &mut Warnings::default())?;
    let last = match pagination.find("LastPgInd")? {
        Some(last) => boolean(last)?,
        None => true,
    };
    Ok(Pages { first: page.is_none_or(|page| page <= 1), last })
}
