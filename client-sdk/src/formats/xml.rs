//! The one reader of XML: bytes to a tree of elements, with everything refused that a payment
//! message never needs and an attacker might: DOCTYPE, entities, processing instructions, other
//! encodings than UTF-8, deep nesting, floods of attributes or elements.
//!
//! Namespace prefixes are dropped. The namespace of the `Document` element, which may stand in an
//! envelope beside an `AppHdr`, says which message it is.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::Reader;

use crate::formats::error::FormatError;
use crate::formats::error::quote;
use crate::formats::message::MessageName;

/// Largest file, in bytes; checked before anything is parsed.
pub const SIZE_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of elements.
pub const DEPTH_MAX: usize = 32;
/// Most attributes of one tag.
pub const ATTRIBUTES_MAX: usize = 16;
/// Longest name of an element, in bytes; those of ISO 20022 have less than half of it.
pub const NAME_LENGTH_MAX: usize = 64;
/// Most elements of one file.
pub const ELEMENTS_MAX: usize = 500_000;

/// Stands for no node.
const NONE: u32 = u32::MAX;

/// A parsed file.
pub struct Tree<'x> {
    nodes: Vec<Node<'x>>,
    message: MessageName,
    document: u32,
    header: Option<u32>,
}

struct Node<'x> {
    name: Box<str>,
    text: Cow<'x, str>,
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
    tree: &'t Tree<'t>,
    index: u32,
}

/// Parses a whole file.
pub fn parse(bytes: &[u8]) -> Result<Tree<'_>, FormatError> {
    let text = utf8(bytes)?;
    let mut parser = Parser::new(text);
    while parser.step()? {}
    parser.finish()
}

/// Reads as far as the `Document` tag and says which message it is.
pub fn identify(bytes: &[u8]) -> Result<MessageName, FormatError> {
    let text = utf8(bytes)?;
    let mut parser = Parser::new(text);
    while parser.document.is_none() && parser.step()? {}
    match parser.document {
        Some((_, message)) => Ok(message),
        None => Err(no_document()),
    }
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
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(FormatError::new("the file", "it is UTF-16", "write it as UTF-8"));
    }
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

impl<'x> Tree<'x> {
    /// Which message the file holds.
    pub fn message(&self) -> MessageName {
        self.message
    }

    /// The `Document` element.
    pub fn document(&self) -> Element<'_> {
        Element { tree: self, index: self.document }
    }

    /// The business application header, if the file has an envelope with one.
    pub fn header(&self) -> Option<Element<'_>> {
        self.header.map(|index| Element { tree: self, index })
    }
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

    fn node(self) -> &'t Node<'t> {
        self.tree.node(self.index)
    }
}

impl<'x> Tree<'x> {
    fn node(&self, index: u32) -> &Node<'x> {
        &self.nodes[usize::try_from(index).expect("an index of ELEMENTS_MAX fits")]
    }
}

struct Parser<'x> {
    text: &'x str,
    reader: Reader<&'x [u8]>,
    nodes: Vec<Node<'x>>,
    open: Vec<Open>,
    document: Option<(u32, MessageName)>,
    header: Option<u32>,
    begun: bool,
}

/// An element whose end tag has not come yet.
struct Open {
    index: u32,
    last_child: u32,
    namespaces: Vec<(String, String)>,
}

impl<'x> Parser<'x> {
    fn new(text: &'x str) -> Parser<'x> {
        Parser {
            text,
            reader: Reader::from_str(text),
            nodes: Vec::new(),
            open: Vec::new(),
            document: None,
            header: None,
            begun: false,
        }
    }

    /// Takes one event; false at the end of the file.
    fn step(&mut self) -> Result<bool, FormatError> {
        let event = self.reader.read_event().map_err(|error| {
            let line = line_at(self.text.as_bytes(), position(self.reader.error_position()));
            malformed(line, error.to_string())
        })?;
        let first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Start(tag) => self.start(&tag)?,
            Event::Empty(tag) => {
                self.start(&tag)?;
                self.end()?;
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => self.text(text.xml10_content())?,
            Event::CData(text) => self.text(text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = self.resolve(&reference)?;
                self.text(Cow::Owned(character.to_string()))?;
            }
            Event::Comment(_) => {}
            Event::Decl(declaration) if first => {
                let encoding = declaration.encoding().transpose();
                let encoding = encoding.map_err(|error| malformed(1, error.to_string()))?;
                if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("UTF-8")) {
                    return Err(self.refuse("an encoding other than UTF-8", "write it as UTF-8"));
                }
            }
            Event::Decl(_) => {
                return Err(self.refuse("an XML declaration that is not at the start", "remove it"));
            }
            Event::PI(_) => return Err(self.refuse("a processing instruction", "remove it")),
            Event::DocType(_) => return Err(self.refuse("a DOCTYPE", "remove it")),
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn start(&mut self, tag: &BytesStart<'x>) -> Result<(), FormatError> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.refuse(
                format!("elements more than {DEPTH_MAX} deep"),
                "check what wrote this file: no message of ISO 20022 is so deep",
            ));
        }
        if self.nodes.len() == ELEMENTS_MAX {
            let fact = format!("more than {ELEMENTS_MAX} elements");
            return Err(self.refuse(fact, "split the message into several files"));
        }
        if self.open.is_empty() && !self.nodes.is_empty() {
            return Err(self.refuse("a second root element", "keep one message a file"));
        }
        if tag.local_name().into_inner().len() > NAME_LENGTH_MAX {
            let fact = format!("an element's name of more than {NAME_LENGTH_MAX} bytes");
            return Err(self.refuse(fact, "check what wrote this file"));
        }
        let (currency, namespaces) = self.attributes(tag)?;
        let index = u32::try_from(self.nodes.len()).expect("ELEMENTS_MAX fits 32 bits");
        let name: Box<str> = tag.local_name().into_inner().into();
        let (parent, ordinal) = self.attach(index, &name);
        let outside = self
            .document
            .is_none_or(|(document, _)| self.open.iter().all(|open| open.index != document));
        self.open.push(Open { index, last_child: NONE, namespaces });
        if outside && &*name == "Document" {
            if self.document.is_some() {
                return Err(self.refuse("a second Document element", "keep one message a file"));
            }
            self.document =
                Some((index, MessageName::of_namespace(self.namespace_of(tag.name()))?));
        } else if outside && self.header.is_none() && &*name == "AppHdr" {
            self.header = Some(index);
        }
        self.nodes.push(Node {
            name,
            text: Cow::Borrowed(""),
            currency,
            parent,
            first_child: NONE,
            next_sibling: NONE,
            ordinal,
        });
        Ok(())
    }

    /// Hangs a new node below the innermost open element; its parent, and its ordinal.
    fn attach(&mut self, index: u32, name: &str) -> (u32, u32) {
        let Some(open) = self.open.last_mut() else { return (NONE, 1) };
        let parent = open.index;
        let previous = std::mem::replace(&mut open.last_child, index);
        if previous == NONE {
            self.node_mut(parent).first_child = index;
            return (parent, 1);
        }
        let previous = self.node_mut(previous);
        previous.next_sibling = index;
        let ordinal = if &*previous.name == name { previous.ordinal + 1 } else { 1 };
        (parent, ordinal)
    }

    /// The `Ccy` attribute and the namespaces that a tag declares.
    fn attributes(&self, tag: &BytesStart<'x>) -> Result<Attributes, FormatError> {
        let mut seen: Vec<String> = Vec::new();
        let mut currency = None;
        let mut namespaces = Vec::new();
        // quick-xml compares every attribute with every other; the count is bounded first.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.malformed(error.to_string()))?;
            if seen.len() == ATTRIBUTES_MAX {
                let fact = format!("a tag with more than {ATTRIBUTES_MAX} attributes");
                return Err(self.refuse(fact, "check what wrote this file"));
            }
            let key = attribute.key.into_inner();
            if seen.iter().any(|other| other == key) {
                return Err(self.malformed(format!("the attribute {} twice", quote(key))));
            }
            seen.push(key.to_owned());
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| self.malformed(error.to_string()))?;
            if key == "Ccy" {
                currency = Some(value.into_owned());
            } else if key == "xmlns" {
                namespaces.push((String::new(), value.into_owned()));
            } else if let Some(prefix) = key.strip_prefix("xmlns:") {
                namespaces.push((prefix.to_owned(), value.into_owned()));
            }
        }
        Ok((currency, namespaces))
    }

    /// The namespace in force for a name of the innermost open element; empty if none.
    fn namespace_of(&self, name: QName<'_>) -> &str {
        let prefix = name.prefix().map_or("", |prefix| prefix.into_inner());
        let declared = self.open.iter().rev().flat_map(|open| &open.namespaces);
        declared.clone().find(|(declared, _)| declared == prefix).map_or("", |(_, uri)| uri)
    }

    fn end(&mut self) -> Result<(), FormatError> {
        let open = self.open.pop().ok_or_else(|| self.malformed("an end tag without a start"))?;
        let node = self.node_mut(open.index);
        if node.first_child != NONE && !node.text.trim().is_empty() {
            let fact = format!("text between the elements of {}", quote(&node.name));
            return Err(self.malformed(fact));
        }
        Ok(())
    }

    fn text(&mut self, text: Cow<'x, str>) -> Result<(), FormatError> {
        let Some(open) = self.open.last() else {
            let blank = text.trim().is_empty();
            return if blank { Ok(()) } else { Err(self.malformed("text outside of the root")) };
        };
        let node = self.node_mut(open.index);
        if node.text.is_empty() {
            node.text = text;
        } else {
            node.text.to_mut().push_str(&text);
        }
        Ok(())
    }

    fn resolve(&self, reference: &BytesRef<'x>) -> Result<char, FormatError> {
        let numeric = reference.resolve_char_ref();
        let numeric = numeric.map_err(|error| self.malformed(error.to_string()))?;
        let named = match &**reference {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => None,
        };
        numeric.filter(|character| is_xml_character(*character)).or(named).ok_or_else(|| {
            let fact = format!("the entity {}", quote(&format!("&{};", &**reference)));
            self.refuse(fact, "write the character itself: only XML's own five are read")
        })
    }

    fn finish(self) -> Result<Tree<'x>, FormatError> {
        if !self.open.is_empty() {
            return Err(self.malformed("the file ends inside of an element"));
        }
        let (document, message) = self.document.ok_or_else(no_document)?;
        Ok(Tree { nodes: self.nodes, message, document, header: self.header })
    }

    fn node_mut(&mut self, index: u32) -> &mut Node<'x> {
        &mut self.nodes[usize::try_from(index).expect("an index of ELEMENTS_MAX fits")]
    }

    fn line(&self) -> usize {
        line_at(self.text.as_bytes(), position(self.reader.buffer_position()))
    }

    fn malformed(&self, fact: impl Into<String>) -> FormatError {
        malformed(self.line(), fact)
    }

    fn refuse(&self, fact: impl Into<String>, fix: &str) -> FormatError {
        FormatError::new(format!("line {}", self.line()), fact, fix)
    }
}

type Attributes = (Option<String>, Vec<(String, String)>);

fn malformed(line: usize, fact: impl Into<String>) -> FormatError {
    FormatError::new(format!("line {line}"), fact, "the file must be well-formed XML 1.0")
}

fn no_document() -> FormatError {
    FormatError::new(
        "Document",
        "it is missing",
        "give an ISO 20022 message, alone or in an envelope",
    )
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// Char of XML 1.0, section 2.2.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
