//! The one reader of XML: bytes to a tree of elements, with everything refused that a payment
//! message never needs and an attacker might: DOCTYPE, entities, processing instructions, other
//! encodings than UTF-8, deep nesting, floods of attributes or elements.
//!
//! Namespace prefixes are dropped. The namespace of the `Document` element, which may stand in an
//! envelope beside an `AppHdr`, says which message it is.

mod parser;
mod source;
pub(in crate::formats) mod writer;

#[cfg(test)]
mod hostile;

pub use source::STREAM_SIZE_MAX;

pub(crate) use parser::Parser;
pub(crate) use parser::Step;
pub(crate) use source::Source;
pub(crate) use source::without_mark;

use crate::formats::error::FormatError;
use crate::formats::message::MessageName;

/// Largest file that is read as a whole, in bytes, checked before anything is parsed; and of a
/// stream, the most that is held at a time.
pub const SIZE_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of elements.
pub const DEPTH_MAX: usize = 32;
/// Most attributes of one tag.
pub const ATTRIBUTES_MAX: usize = 16;
/// Longest name of an element, in bytes; those of ISO 20022 have less than half of it.
pub const NAME_LENGTH_MAX: usize = 64;
/// Most elements of one file, or of a stream at a time.
pub const ELEMENTS_MAX: usize = 500_000;

/// Stands for no node.
const NONE: u32 = u32::MAX;

/// A parsed file.
pub struct Tree {
    nodes: Vec<Node>,
    /// Of the `Document`; `NONE` before it has begun.
    document: u32,
    message: Option<MessageName>,
    /// Of the `AppHdr`, or `NONE`.
    header: u32,
}

struct Node {
    name: Box<str>,
    text: String,
    currency: Option<String>,
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    /// Place in the run of neighbours of the same name, from 1.
    ordinal: u32,
}

/// An element of a tree.
#[derive(Clone, Copy)]
pub struct Element<'t> {
    tree: &'t Tree,
    index: u32,
}

/// Parses a whole file.
pub fn parse(bytes: &[u8]) -> Result<Tree, FormatError> {
    let mut parser = Parser::new(utf8(bytes)?.as_bytes());
    while parser.step()? != Step::Finished {}
    parser.finish()
}

/// Reads as far as the `Document` tag and says which message it is.
pub fn identify(bytes: &[u8]) -> Result<MessageName, FormatError> {
    let mut parser = Parser::new(utf8(bytes)?.as_bytes());
    while parser.tree().document == NONE && parser.step()? != Step::Finished {}
    parser.tree().message.ok_or_else(no_document)
}

/// The text of a file of UTF-8 that is not too large, without its byte order mark.
pub fn utf8(bytes: &[u8]) -> Result<&str, FormatError> {
    if bytes.len() > SIZE_MAX {
        return Err(FormatError::new(
            "the file",
            format!("it has {} bytes, more than the limit of {SIZE_MAX}", bytes.len()),
            "split it into several files",
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    source::refuse_utf16(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        FormatError::new(format!("line {line}"), "bytes that are not UTF-8", "write it as UTF-8")
    })?;
    match text.char_indices().find(|(_, character)| !is_xml_character(*character)) {
        None => Ok(text),
        Some((position, character)) => Err(FormatError::new(
            format!("line {}", line_at(bytes, position)),
            format!("the control character U+{:04X}", u32::from(character)),
            "remove it",
        )),
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: Vec::new(), document: NONE, message: None, header: NONE }
    }
}

impl Tree {
    /// Which message the file holds.
    pub fn message(&self) -> MessageName {
        self.message.expect("a parser gives no tree away before the Document has begun")
    }

    /// The `Document` element.
    pub fn document(&self) -> Element<'_> {
        Element { tree: self, index: self.document }
    }

    /// Whether an element is the `Document`.
    pub(crate) fn is_document(&self, index: u32) -> bool {
        self.document == index
    }

    /// The business application header, if the file has an envelope with one.
    pub fn header(&self) -> Option<Element<'_>> {
        (self.header != NONE).then_some(Element { tree: self, index: self.header })
    }

    fn node(&self, index: u32) -> &Node {
        &self.nodes[position_of(index)]
    }

    fn node_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[position_of(index)]
    }
}

fn position_of(index: u32) -> usize {
    usize::try_from(index).expect("an index of ELEMENTS_MAX fits")
}

impl<'t> Element<'t> {
    /// Its name without a prefix.
    pub fn name(self) -> &'t str {
        &self.node().name
    }

    /// Its text without white space at the ends; empty for an element of elements.
    pub fn text(self) -> &'t str {
        self.node().text.trim()
    }

    /// Its `Ccy` attribute.
    pub fn currency(self) -> Option<&'t str> {
        self.node().currency.as_deref()
    }

    /// Its children in order.
    pub fn children(self) -> impl Iterator<Item = Element<'t>> {
        let at = |index: u32| (index != NONE).then_some(Element { tree: self.tree, index });
        std::iter::successors(at(self.node().first_child), move |child| {
            at(child.node().next_sibling)
        })
    }

    /// Its children of one name, in order.
    pub fn all(self, name: &'t str) -> impl Iterator<Item = Element<'t>> {
        self.children().filter(move |child| child.name() == name)
    }

    /// Its child of a name. Two of them where one belongs are refused: readers would differ over
    /// which one counts.
    pub fn find(self, name: &str) -> Result<Option<Element<'t>>, FormatError> {
        let mut found = self.children().filter(|child| child.name() == name);
        let first = found.next();
        match found.next() {
            Some(second) => Err(second.error("it stands here a second time", "keep one of them")),
            None => Ok(first),
        }
    }

    /// The element below this one at the end of a path, if every step exists.
    pub fn descend(self, path: &[&str]) -> Result<Option<Element<'t>>, FormatError> {
        let mut element = self;
        for name in path {
            match element.find(name)? {
                Some(child) => element = child,
                None => return Ok(None),
            }
        }
        Ok(Some(element))
    }

    /// The element below this one at the end of a path; an error names the first step missing.
    pub fn require(self, path: &[&str]) -> Result<Element<'t>, FormatError> {
        let mut element = self;
        for name in path {
            element = element.find(name)?.ok_or_else(|| element.missing(name))?;
        }
        Ok(element)
    }

    /// Where it stands, from `Document` (or the root, outside of it) down, with a number where
    /// neighbours have the same name.
    pub fn path(self) -> String {
        let mut steps = Vec::new();
        let mut index = self.index;
        while index != NONE {
            let node = self.tree.node(index);
            let followed =
                node.next_sibling != NONE && self.tree.node(node.next_sibling).name == node.name;
            steps.push(if node.ordinal > 1 || followed {
                format!("{}[{}]", node.name, node.ordinal)
            } else {
                node.name.to_string()
            });
            index = if index == self.tree.document { NONE } else { node.parent };
        }
        steps.reverse();
        steps.join("/")
    }

    /// An error about this element.
    pub fn error(self, fact: impl Into<String>, fix: impl Into<String>) -> FormatError {
        FormatError::new(self.path(), fact, fix)
    }

    /// The error that a child is missing.
    pub fn missing(self, child: &str) -> FormatError {
        FormatError::new(format!("{}/{child}", self.path()), "it is missing", "add it")
    }

    /// Which element of its tree it is.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// The element that it stands in, unless it is the root.
    pub(crate) fn parent(self) -> Option<Element<'t>> {
        let index = self.node().parent;
        (index != NONE).then_some(Element { tree: self.tree, index })
    }

    fn node(self) -> &'t Node {
        self.tree.node(self.index)
    }
}

pub(crate) fn no_document() -> FormatError {
    FormatError::new(
        "Document",
        "it is missing",
        "give an ISO 20022 message, alone or in an envelope",
    )
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// Char of XML 1.0, section 2.2.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
